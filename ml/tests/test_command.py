"""Tests of the command `python -m ml FILE…`."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ml import checkpoint, checkpoint_info
from ml.__main__ import main
from ml.checkpoint_info import CheckpointInfo
from ml.events import EventSettings, settings_path, write_settings
from ml.model import AudioCNN
from ml.tests.conftest import CLASSES
from tests import fixtures

ROOT = Path(__file__).resolve().parents[2]
PREDICTION = re.compile(r"  - (\w+) (\d+\.\d\d)%")


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, network: AudioCNN, info: CheckpointInfo
) -> Path:
    """A folder with a checkpoint, two sounds and a text file."""
    folder = tmp_path_factory.mktemp("command")
    checkpoint.save(folder / "tiny.safetensors", network.state_dict(), info)
    (folder / "five.wav").write_bytes(fixtures.encode(fixtures.tone(440, 5.0, 44_100), 44_100))
    (folder / "short.flac").write_bytes(fixtures.encode(fixtures.noise(0.75), form="FLAC"))
    (folder / "letter.wav").write_text("Dear reader")
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "CHECKPOINT": str(folder / "tiny.safetensors"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", "ml", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_is_report(lines: list[str], duration: str) -> None:
    """Check the six lines that the original's local test prints."""
    assert len(lines) == 6
    values = re.fullmatch(r"First 10 values: \[(.*)\]\.\.\.", lines[0])
    assert values
    assert len([float(value) for value in values[1].split(", ")]) == 10
    assert lines[1] == f"Duration: {duration}"
    assert lines[2] == "Top predictions:"
    found = [PREDICTION.fullmatch(line) for line in lines[3:]]
    confidences = [float(match[2]) for match in found if match]
    assert {match[1] for match in found if match} <= set(CLASSES)
    assert len(confidences) == 3
    assert confidences == sorted(confidences, reverse=True)


def test_it_prints_the_same_lines_as_the_originals_local_test(folder: Path) -> None:
    done = run(folder, "five.wav")
    assert done.returncode == 0, done.stderr
    assert_is_report(done.stdout.splitlines(), "5.0")
    assert done.stderr == ""


def test_a_file_name_that_is_not_text_is_escaped(folder: Path) -> None:
    names = [os.fsdecode(b"caf\xe9.wav"), "two\nlines.wav"]
    done = run(folder, "--json", *names)
    assert [json.loads(line)["file"] for line in done.stdout.splitlines()] == [
        "caf%E9.wav", "two%0Alines.wav",
    ]  # fmt: skip
    assert run(folder, *names).stderr.startswith("caf%E9.wav: The file cannot be opened")


def test_it_continues_after_a_bad_file_and_keeps_the_order(folder: Path) -> None:
    dated = "20240501_053000Z.flac"
    (folder / dated).symlink_to("short.flac")
    done = run(folder, "--json", dated, "letter.wav", "nowhere.wav", "five.wav")
    assert done.returncode == 1
    short, letter, nowhere, five = (json.loads(line) for line in done.stdout.splitlines())

    assert short["file"] == dated
    assert short["recorded_at"] == "2024-05-01T05:30:00+00:00"
    assert short["duration_s"] == 0.75
    assert short["sample_rate"] == 32_000
    assert short["checkpoint"] == checkpoint_info.identity(folder / "tiny.safetensors")
    assert five["file"] == "five.wav"
    assert five["duration_s"] == 5.0
    assert five["sample_rate"] == 44_100
    assert five["recorded_at"] is None
    for analysed in (short, five):
        assert set(analysed) == {
            "file", "duration_s", "sample_rate", "notices", "recorded_at", "predictions",
            "not_sure", "checkpoint",
        }  # fmt: skip
        assert analysed["notices"] == []
        assert analysed["not_sure"] is False
        assert [set(p) for p in analysed["predictions"]] == [{"class", "confidence"}] * len(CLASSES)
        assert sum(p["confidence"] for p in analysed["predictions"]) == pytest.approx(1, abs=1e-4)

    assert letter["file"] == "letter.wav"
    assert letter["error"]["code"] == "not_audio"
    assert nowhere["file"] == "nowhere.wav"
    assert nowhere["error"]["code"] == "unreadable"
    for failed in (letter, nowhere):
        assert set(failed) == {"file", "error"}
        assert set(failed["error"]) == {"code", "detail", "hint"}
        assert all(failed["error"].values())


# --- in this process ----------------------------------------------------------------------


def call(folder: Path, *names: str) -> int:
    options = ["--checkpoint", str(folder / "tiny.safetensors")]
    return main([*options, *(str(folder / name) for name in names)])


def test_each_of_several_files_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(folder, "five.wav", "letter.wav", "short.flac") == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].endswith("five.wav")
    assert_is_report(lines[1:7], "5.0")
    assert lines[7].endswith("letter.wav")
    assert lines[8].endswith("short.flac")
    assert_is_report(lines[9:], "0.75")
    assert "letter.wav: This file contains no audio" in err


def test_a_file_given_twice_is_classified_twice(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(folder, "short.flac", "short.flac") == 0
    assert capsys.readouterr().out.count("Duration: 0.75") == 2


def test_files_keep_their_order_across_chunks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{number}.wav" for number in range(20)]
    for number, name in enumerate(names):
        duration_s = 0.2 + number / 100
        (folder / name).write_bytes(fixtures.encode(fixtures.noise(duration_s)))
    assert call(folder, *names) == 0
    durations = re.findall(r"Duration: (.*)", capsys.readouterr().out)
    assert [float(d) for d in durations] == pytest.approx([0.2 + n / 100 for n in range(20)])


@pytest.fixture
def sensitive(folder: Path, tmp_path: Path) -> str:
    """The option for a checkpoint whose settings turn every clip into events."""
    path = shutil.copy(folder / "tiny.safetensors", tmp_path)
    write_settings(Path(path), EventSettings(threshold=0.01, median_s=0, edge_s=0))
    return f"--checkpoint={path}"


def test_it_prints_events_as_json(
    folder: Path, sensitive: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(folder / name) for name in ("short.flac", "letter.wav")]
    assert main(["--events", "--json", sensitive, *names]) == 1
    found, failed = map(json.loads, capsys.readouterr().out.splitlines())
    assert "error" in failed
    assert found["events"]
    for event in found["events"]:
        assert event["label"] in CLASSES
        assert 0 <= event["start_s"] <= event["peak_s"] <= event["end_s"] <= 0.75
        assert 0.01 <= event["confidence"] <= 1
        assert event["low_hz"] is None or 20 <= event["low_hz"] < event["high_hz"] <= 16_000


def test_it_prints_events_as_a_table(
    folder: Path, sensitive: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--events", sensitive, str(folder / "short.flac")]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["start,", "s", "end,", "s", "label", "confidence"]
    assert {row.split()[2] for row in rows} <= set(CLASSES)


def test_a_file_without_events_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = shutil.copy(folder / "tiny.safetensors", tmp_path)
    write_settings(Path(path), EventSettings(threshold=1.0))
    assert main(["--events", f"--checkpoint={path}", str(folder / "short.flac")]) == 0
    assert capsys.readouterr().out == "No events.\n"


def test_damaged_settings_of_events_are_reported(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = shutil.copy(folder / "tiny.safetensors", tmp_path)
    settings_path(Path(path)).write_text('{"threshold": 0.5')
    assert main([f"--checkpoint={path}", str(folder / "short.flac")]) == 2
    assert "tiny.events.json has no usable settings of events" in capsys.readouterr().err


def test_a_missing_checkpoint_is_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(folder / "gone.safetensors")
    assert main(["--checkpoint", missing, str(folder / "five.wav")]) == 2
    assert capsys.readouterr().err == f"There is no checkpoint at {missing}.\n"
