"""From what users say of their sounds to a data set for training, with real files."""

import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from classifier.models import Analysis, Clip, Event, State
from classifier.services import judgements
from classifier.services.exports import judged_sounds
from classifier.services.exports.zip_stream import zip_of
from classifier.services.uploads import accept
from ml.audio.decode import read
from tests import fixtures
from training import prepare
from training.data.csv_table import DataError
from training.data.index import read_index

RATE_HZ = 32_000
CLASSES = ("dog", "siren", "rain")


def analysed(owner: User, name: str, data: bytes, form: str) -> Analysis:
    analysis = accept([data], name=name, owner=owner)
    predictions = [{"class": label, "confidence": 1 / 3} for label in CLASSES]
    Analysis.objects.filter(pk=analysis.pk).update(
        state=State.DONE, label="dog", predictions=predictions
    )
    Clip.objects.filter(pk=analysis.clip_id).update(format=form)
    return Analysis.objects.get(pk=analysis.pk)


def part(analysis: Analysis, start_s: float, end_s: float) -> Event:
    times = {"start_s": start_s, "end_s": end_s, "peak_s": start_s}
    return Event.objects.create(analysis=analysis, label="siren", confidence=0.9, **times)


@pytest.fixture
def exported(db: None, settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """The export of a clip that is a dog, one that is rain, and three parts of a recording."""
    settings.MEDIA_ROOT = tmp_path / "media"
    owner = User.objects.create(username="anna")
    bark = analysed(owner, "bark.wav", fixtures.encode(fixtures.clicks(4, 2.0)), "WAV")
    rain = analysed(owner, "rain.ogg", fixtures.encode(fixtures.noise(2.0), form="OGG"), "OGG")
    none = analysed(owner, "none.wav", fixtures.encode(fixtures.noise(1.0, seed=3)), "WAV")
    # Silence with a tone from 3 s to 5 s.
    tone = np.concatenate([np.zeros(3 * RATE_HZ), fixtures.tone(900, 2.0), np.zeros(RATE_HZ)])
    sound = fixtures.encode(tone.astype(np.float32), form="FLAC")
    recording = analysed(owner, "=street, evening.flac", sound, "FLAC")
    for analysis, label in ((bark, "dog"), (rain, "rain"), (none, "")):
        judgements.judge_clip(analysis, label, owner)
    for start_s, end_s, label in ((3.0, 5.0, "siren"), (0.5, 1.5, "rain"), (0.0, 1.0, "")):
        judgements.judge_event(part(recording, start_s, end_s), label, owner)
    part(recording, 2.0, 3.0)  # not judged
    file = tmp_path / "checked-sounds.zip"
    file.write_bytes(b"".join(zip_of(judged_sounds.members(owner))))
    yield file


def test_the_export_holds_each_file_once_and_a_row_for_each_sound(exported: Path) -> None:
    with zipfile.ZipFile(exported) as archive:
        assert archive.testzip() is None
        files = [name for name in archive.namelist() if name.startswith("audio/")]
        text = archive.read("meta/sounds.csv").decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sorted(Path(name).suffix for name in files) == [".flac", ".ogg", ".wav"]
    assert [row["category"] for row in rows] == ["dog", "rain", "siren", "rain"]
    assert rows[2]["name"] == "=street, evening.flac"
    assert (rows[0]["start_s"], float(rows[2]["start_s"])) == ("", 3.0)


def test_the_export_becomes_a_data_set(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "checked"
    assert prepare.main([str(exported), "--out", str(out)]) == 0
    found = read_index(out)
    assert [example.label for example in found] == ["dog", "rain", "siren", "rain"]
    bark, rain, siren, quiet = found
    assert siren.source == quiet.source
    assert siren.fold == quiet.fold
    assert len({bark.source, rain.source, siren.source}) == 3
    waveform = read(siren.path, RATE_HZ).waveform
    assert len(waveform) == 2 * RATE_HZ
    assert np.sqrt(np.mean(waveform**2)) > 0.1
    assert np.abs(read(quiet.path, RATE_HZ).waveform).max() < 0.01
    assert prepare.main([str(out)]) == 0  # a folder, prepared before
    assert read_index(out) == found


def test_a_folder_that_was_unpacked_by_hand_is_cut_by_prepare(
    exported: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "unpacked"
    zipfile.ZipFile(exported).extractall(folder)
    with pytest.raises(DataError, match=r"training\.prepare"):
        read_index(folder)
    assert prepare.main([str(folder)]) == 0
    assert len(read_index(folder)) == 4


def test_a_part_that_two_analyses_found_is_one_sound_unless_they_disagree(
    exported: Path, tmp_path: Path, capsys
) -> None:
    folder = tmp_path / "unpacked"
    zipfile.ZipFile(exported).extractall(folder)
    table = folder / "meta" / "sounds.csv"
    before = table.read_text()
    siren = next(line for line in before.splitlines(keepends=True) if "siren" in line)
    table.write_text(before + siren.replace("siren", "rain"))
    assert prepare.main([str(folder)]) == 1
    assert "line 6: this part is 'rain' here, but 'siren'" in capsys.readouterr().err
    table.write_text(before + siren)
    assert prepare.main([str(folder)]) == 0
    assert [example.label for example in read_index(folder)] == ["dog", "rain", "siren", "rain"]


def test_an_invalid_part_is_reported(exported: Path, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "unpacked"
    zipfile.ZipFile(exported).extractall(folder)
    table = folder / "meta" / "sounds.csv"
    table.write_text(table.read_text().replace("3.000000,5.000000", "5.000000,3.000000"))
    assert prepare.main([str(folder)]) == 1
    assert "sounds.csv, line 4: start_s must be" in capsys.readouterr().err
