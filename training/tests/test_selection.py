"""Tests of the selection of sounds without labels, and of recognising recordings."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import fixtures
from training import prepare
from training.data.index import Example, read_unlabelled
from training.data.recordings import RATE_HZ, Index, fingerprint
from training.data.selection import Reason, select


def calls(seed: int, duration_s: float = 4.0) -> NDArray[np.float32]:
    """Return short tones of random pitch and level in noise, ten per second, at RATE_HZ."""
    random = np.random.default_rng(seed)
    sound = 0.01 * random.standard_normal(int(duration_s * RATE_HZ))
    times_s = np.arange(RATE_HZ // 10) / RATE_HZ
    for start in range(0, len(sound) - len(times_s), len(times_s)):
        hz, level = random.uniform(300, 4000), random.uniform(0.05, 0.4)
        tone = np.sin(2 * np.pi * hz * times_s) * np.hanning(len(times_s))
        sound[start : start + len(times_s)] += level * tone
    return sound.astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sounds").mkdir()
    return tmp_path / "sounds"


def write(path: Path, sound: NDArray[np.float32], form: str = "FLAC") -> Path:
    rate_hz = fixtures.RATES_HZ.get(form, RATE_HZ)
    if rate_hz != RATE_HZ:
        times = np.arange(int(len(sound) * rate_hz / RATE_HZ)) * RATE_HZ / rate_hz
        sound = np.interp(times, np.arange(len(sound)), sound).astype(np.float32)
    path.write_bytes(fixtures.encode(sound, rate_hz, form=form))
    return path


@pytest.mark.parametrize("form", ["OGG", "Opus", "MP3"])
def test_a_quieter_excerpt_in_another_encoding_is_recognised(folder: Path, form: str) -> None:
    known = Example(write(folder.parent / "1-7-A-0.flac", calls(1)), 1, "bird", "7")
    excerpt = write(folder / "excerpt", 0.5 * calls(1)[40_123:104_123], form)
    other = write(folder / "other", calls(2), form)
    selection = select([excerpt, other], [known])
    assert selection.accepted == (other,)
    (left_out,) = selection.left_out
    assert (left_out.path, left_out.reason) == (excerpt, Reason.KNOWN)
    assert left_out.detail == str(known.path)


def test_a_longer_sound_that_contains_a_recording_is_recognised() -> None:
    longer = np.concatenate([calls(3), calls(1, 2.0), calls(4)])
    index = Index([fingerprint(calls(1)), fingerprint(calls(2))])
    assert [match.sound for match in index.matches(fingerprint(longer))] == [0]


def test_copies_silence_and_files_without_audio_are_left_out(folder: Path) -> None:
    write(folder / "a.flac", calls(1))
    write(folder / "b.ogg", calls(1), "OGG")
    write(folder / "c.flac", calls(2))
    write(folder / "d.flac", 1e-4 * calls(3))
    write(folder / "e.flac", calls(4, 0.2))
    (folder / "f.wav").write_text("This is not a sound.")
    selection = select(read_unlabelled(folder), [])
    assert [path.name for path in selection.accepted] == ["a.flac", "c.flac"]
    assert selection.duration_s == pytest.approx(8.0)
    assert {one.path.name: one.reason for one in selection.left_out} == {
        "b.ogg": Reason.DUPLICATE,
        "d.flac": Reason.SILENT,
        "e.flac": Reason.PLAIN,
        "f.wav": Reason.UNDECODABLE,
    }


def test_the_command_lists_the_accepted_sounds(
    folder: Path,
    esc50: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ESC50_DIR", str(esc50))
    write(folder / "a.flac", calls(1))
    write(folder / "copy.flac", calls(1))
    clip = esc50 / "audio" / "1-101-A-1.wav"
    (folder / "rain.wav").write_bytes(clip.read_bytes())
    (folder / "notes").write_text("This is not a sound.")
    listed = folder.parent / "sounds.csv"
    assert prepare.main(["--unlabelled", str(folder), "--write-csv", str(listed)]) == 0
    said = capsys.readouterr().out
    assert "folds 1: 2, 2: 2, 3: 2, 4: 2" in said
    assert "cannot be decoded: 1" in said
    assert f"rain.wav: {clip}" in said
    assert f"copy.flac: {folder / 'a.flac'}" in said
    assert "Accepted: 1 of 4 sounds" in said
    assert listed.read_text().split() == ["filename", "sounds/a.flac"]
    assert read_unlabelled(listed) == (folder / "a.flac",)


def test_it_says_that_nothing_was_compared_without_esc50(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prepare, "esc50_dir", lambda: None)
    write(folder / "a.flac", calls(1))
    assert prepare.main(["--unlabelled", str(folder)]) == 0
    assert "ESC-50 is not installed" in capsys.readouterr().err


def test_only_one_kind_of_sounds_is_prepared_at_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        prepare.main([str(folder), "--unlabelled", str(folder)])
    assert "names the sounds itself" in capsys.readouterr().err
