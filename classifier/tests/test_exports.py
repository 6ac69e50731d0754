"""Exports of events, read back by programs that are not ours."""

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pytest
from pyarrow import parquet

from classifier.checkpoints import inventory
from classifier.services.exports import formats, zip_stream
from classifier.services.exports.formats import Format
from classifier.services.exports.recordings import ExportedEvent, Recording

COUNTS = (0, 1, 10_000)
LABELS = ("dog", "siren", "chirping_birds")
STARTS = datetime(2026, 5, 1, 5, 30, tzinfo=timezone(timedelta(hours=2)))
ANALYSIS = "9f1c2b7e-3f4a-4d52-8a39-0d6c2f1e7b10"
# A span as every reader returns it: file, label, start and end in milliseconds.
Span = tuple[str, str, int, int]


def event(number: int, **values: object) -> ExportedEvent:
    """Return the event of a number; events of one label do not overlap, those of others do."""
    start_s = number * 0.731 + 1 / 3
    facts: dict[str, object] = {
        "label": LABELS[number % 3],
        "start_s": start_s,
        "end_s": start_s + 1.25,
        "confidence": 0.5 + number % 50 / 100,
        "peak_s": start_s + 0.5,
        "low_hz": 600.25 if number % 2 else None,
        "high_hz": 30_000.0 if number % 2 else None,
        "starts_at": STARTS + timedelta(seconds=start_s),
    }
    return ExportedEvent(**(facts | values))  # type: ignore[arg-type]


def recording(path: str, events: Iterable[ExportedEvent], duration_s: float = 8_000) -> Recording:
    default = inventory.find("")
    assert default is not None
    facts = (ANALYSIS, default.identity, duration_s, 48_000, "ab" * 32, "2026-05-01T05:30")
    return Recording(path, *facts, events)


def folder(count: int) -> list[Recording]:
    """Return recordings with `count` events together; one has none, and two have equal stems."""
    events = [event(number) for number in range(count)]
    half = count // 2
    return [
        recording("morning/dawn.wav", events[:half]),
        recording("morning/empty.wav", []),
        recording("evening/dawn.flac", events[half:]),
    ]


def spans(recordings: Iterable[Recording]) -> list[Span]:
    return sorted(
        (one.path, found.label, millis(found.start_s), millis(found.end_s))
        for one in recordings
        for found in one.events
    )


def millis(seconds: float) -> int:
    return round(1000 * float(seconds))


def exported(form: Format, recordings: Sequence[Recording], *, several: bool = True) -> bytes:
    return b"".join(formats.file_of(form, "trip", several=several).write(recordings))


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len(names) == len(set(names))
        return {name: archive.read(name) for name in names}


def rows_of(data: bytes, **options: object) -> pandas.DataFrame:
    return pandas.read_csv(io.BytesIO(data), keep_default_na=False, **options)


# --- readers ------------------------------------------------------------------------------


def read_csv(data: bytes) -> list[Span]:
    rows = rows_of(data)
    return _spans(rows["file"], rows["label"], rows["start_s"], rows["end_s"])


def read_parquet(data: bytes) -> list[Span]:
    rows = parquet.read_table(io.BytesIO(data)).to_pandas()
    return _spans(rows["file"], rows["label"], rows["start_s"], rows["end_s"])


def read_json(data: bytes) -> list[Span]:
    return sorted(
        (one["file"], found["label"], millis(found["start_s"]), millis(found["end_s"]))
        for one in json.loads(data)["recordings"]
        for found in one["events"]
    )


def read_birdnet(data: bytes) -> list[Span]:
    rows = rows_of(data)
    assert (rows["Scientific name"] == rows["Common name"]).all()
    return _spans(rows["File"], rows["Common name"], rows["Start (s)"], rows["End (s)"])


def read_kaleidoscope(data: bytes) -> list[Span]:
    rows = rows_of(data)
    paths = rows["FOLDER"] + "/" + rows["IN FILE"]
    ends = rows["OFFSET"] + rows["DURATION"]
    return _spans(paths, rows["TOP1MATCH"], rows["OFFSET"], ends)


def read_raven(data: bytes) -> list[Span]:
    """Read the table of each recording, with the columns that crowsetta reads."""
    found: list[Span] = []
    for name, table in unpacked(data).items():
        rows = rows_of(table, sep="\t")
        assert list(rows["Selection"]) == list(range(1, len(rows) + 1))
        assert (rows["Low Freq (Hz)"] < rows["High Freq (Hz)"]).all()
        assert (rows["High Freq (Hz)"] <= 24_000).all()
        if name != "all.txt":
            path = name.removesuffix(".selections.txt")
            times = rows["Begin Time (s)"], rows["End Time (s)"]
            found += _spans([path] * len(rows), rows["Annotation"], *times)
    return sorted(found)


def read_audacity(data: bytes) -> list[Span]:
    """Read the label tracks as Audacity does: line by line, cells between tabs."""
    found: list[Span] = []
    for name, track in unpacked(data).items():
        lines = track.decode().splitlines()
        for line in lines:
            cells = line.split("\t")
            assert len(cells) == 3, line
            if cells[0] == "\\":  # frequencies of the line before
                assert 0 <= float(cells[1]) < float(cells[2])
            else:
                path = name.removesuffix(".txt")
                found.append((path, cells[2], millis(float(cells[0])), millis(float(cells[1]))))
    return sorted(found)


# By the stem of a recording: events (start, end, label), duration and table of scores.
DcaseTables = tuple[dict[str, list[tuple[float, float, str]]], dict[str, float], dict[str, Any]]


def dcase_by_pandas(folder: Path) -> DcaseTables:
    labels = pandas.read_csv(folder / "labels.tsv", sep="\t")
    durations = pandas.read_csv(folder / "durations.tsv", sep="\t")
    tables = {file.stem: pandas.read_csv(file, sep="\t") for file in folder.glob("scores/*.tsv")}
    events = {
        Path(name).stem: [
            (row.onset, row.offset, row.event_label) for row in rows.dropna().itertuples()
        ]
        for name, rows in labels.groupby("filename")
    }
    lengths = {Path(row.filename).stem: row.duration for row in durations.itertuples()}
    return events, lengths, tables


def dcase_by_sed_scores_eval(folder: Path) -> DcaseTables:
    reader = pytest.importorskip(
        "sed_scores_eval.base_modules.io",
        reason="needs requirements-soundscapes.txt, which needs a C++ compiler",
    )
    return (
        reader.read_ground_truth_events(folder / "labels.tsv"),
        reader.read_audio_durations(folder / "durations.tsv"),
        reader.read_sed_scores(folder / "scores"),
    )


def read_dcase(data: bytes, into: Path, reader: Callable[[Path], DcaseTables]) -> list[Span]:
    """Read all tables. They identify a recording by its stem."""
    for name, content in unpacked(data).items():
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (into / name).write_bytes(content)
    labels, durations, scores = reader(into)
    assert labels.keys() == durations.keys() == scores.keys()
    paths = {"morning__dawn": "morning/dawn.wav", "evening__dawn": "evening/dawn.flac"}
    for stem, events in labels.items():
        table = scores[stem]
        assert table["offset"].iloc[-1] == durations[stem]
        for start_s, end_s, label in events[:20]:
            inside = table[(table["onset"] >= start_s) & (table["offset"] <= end_s)]
            assert (inside[label] >= 0.5).all() and len(inside)
        quiet = table[~((table[list(LABELS)] > 0).any(axis=1))]
        assert len(quiet) or events
    return sorted(
        (paths[stem], label, millis(start_s), millis(end_s))
        for stem, events in labels.items()
        for start_s, end_s, label in events
    )


def _spans(
    paths: Iterable[str], labels: Iterable[str], starts: Iterable[float], ends: Iterable[float]
) -> list[Span]:
    rows = zip(paths, labels, map(millis, starts), map(millis, ends), strict=True)
    return sorted(rows)


READERS: dict[Format, Callable[[bytes], list[Span]]] = {
    Format.CSV: read_csv,
    Format.PARQUET: read_parquet,
    Format.JSON: read_json,
    Format.RAVEN: read_raven,
    Format.AUDACITY: read_audacity,
    Format.BIRDNET: read_birdnet,
    Format.KALEIDOSCOPE: read_kaleidoscope,
}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("form", READERS)
def test_another_program_reads_the_same_events(form: Format, count: int) -> None:
    expected = spans(folder(count))
    assert len(expected) == count
    assert READERS[form](exported(form, folder(count))) == expected


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("reader", [dcase_by_pandas, dcase_by_sed_scores_eval])
def test_evaluators_read_the_same_events(
    reader: Callable[[Path], DcaseTables], count: int, tmp_path: Path
) -> None:
    data = exported(Format.DCASE, folder(count))
    assert read_dcase(data, tmp_path, reader) == spans(folder(count))


@pytest.mark.django_db
def test_the_zip_has_every_format_and_where_the_events_come_from(own_media: Path) -> None:
    whole = unpacked(exported(Format.ZIP, folder(7)))
    assert read_csv(whole["events.csv"]) == spans(folder(7))
    for form, name in (
        (Format.JSON, "events.json"),
        (Format.PARQUET, "events.parquet"),
        (Format.BIRDNET, "birdnet.results.csv"),
        (Format.KALEIDOSCOPE, "kaleidoscope.csv"),
    ):
        assert READERS[form](whole[name]) == spans(folder(7))
    for form in (Format.RAVEN, Format.AUDACITY, Format.DCASE):
        alone = unpacked(exported(form, folder(7)))
        assert {f"{form}/{name}": data for name, data in alone.items()}.items() <= whole.items()
    graph = json.loads(whole["ro-crate-metadata.json"])["@graph"]
    by_id = {entity["@id"]: entity for entity in graph}
    assert len(by_id) == len(graph)
    assert by_id["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    default = inventory.find("")
    assert default is not None
    checkpoint = by_id[f"#checkpoint-{default.identity}"]
    assert checkpoint["sha256"] == default.sha256
    assert {"threshold", "merge_gap_s"} <= {p["name"] for p in checkpoint["additionalProperty"]}
    sounds = [entity for entity in graph if entity["@type"] == "AudioObject"]
    assert [sound["name"] for sound in sounds] == [one.path for one in folder(7)]
    assert all(sound["sha256"] == "ab" * 32 for sound in sounds)


def test_a_table_over_several_recordings_counts_on_as_raven_does() -> None:
    data = unpacked(exported(Format.RAVEN, folder(2)))["all.txt"]
    first, second = rows_of(data, sep="\t").to_dict("records")
    assert (first["Begin Path"], second["Begin Path"]) == ("morning/dawn.wav", "evening/dawn.flac")
    assert second["File Offset (s)"] == pytest.approx(event(1).start_s, abs=1e-6)
    assert second["Begin Time (s)"] == pytest.approx(16_000 + event(1).start_s, abs=1e-6)


def test_a_recording_can_have_the_name_of_the_table_over_all() -> None:
    tables = unpacked(exported(Format.RAVEN, [recording("all", [event(0)])]))
    assert tables.keys() == {"all.txt", "all.selections.txt"}


@pytest.mark.parametrize("form", [Format.RAVEN, Format.AUDACITY])
def test_the_table_of_one_recording_is_no_zip(form: Format) -> None:
    data = exported(form, [recording("a.wav", [event(0)])], several=False)
    packed = unpacked(exported(form, [recording("a.wav", [event(0)])]))
    assert data == packed[f"a.wav{formats.OF_ONE[form].suffix}"]


def test_clock_times_keep_their_zone_and_are_empty_if_they_are_not_known() -> None:
    times = [STARTS, STARTS.replace(tzinfo=None), None]
    events = [event(number, starts_at=time) for number, time in enumerate(times)]
    rows = rows_of(exported(Format.CSV, [recording("a.wav", events)]))
    texts = ["2026-05-01T05:30:00.000+02:00", "2026-05-01T05:30:00.000", ""]
    assert list(rows["starts_at"]) == texts
    table = parquet.read_table(io.BytesIO(exported(Format.PARQUET, [recording("a.wav", events)])))
    assert table.schema.field("starts_at_utc").type == pyarrow.timestamp("us", tz="UTC")
    assert table["starts_at"].to_pylist() == [*texts[:2], None]
    assert table["starts_at_utc"].to_pylist() == [STARTS.astimezone(UTC), None, None]


def test_names_cannot_break_a_table_or_leave_the_folder() -> None:
    path, label = 'a\\..\\b/=1+1\t"x"\n.wav', "=dog\tor\ncat"
    recordings = [recording(path, [event(0, label=label)])]
    shown, shown_label = 'a\\..\\b/=1+1%09"x"%0A.wav', "=dog%09or%0Acat"
    (row,) = rows_of(exported(Format.CSV, recordings)).to_dict("records")
    assert (row["file"], row["label"]) == (path, f"'{label}")
    (row,) = rows_of(exported(Format.KALEIDOSCOPE, recordings)).to_dict("records")
    assert (row["IN FILE"], row["TOP1MATCH"]) == ('=1+1%09"x"%0A.wav', shown_label)
    tables = unpacked(exported(Format.RAVEN, recordings))
    (row,) = rows_of(tables["all.txt"], sep="\t").to_dict("records")
    assert (row["Begin Path"], row["Annotation"]) == (shown, shown_label)
    assert not any("\\" in name for name in tables)
    track = exported(Format.AUDACITY, recordings, several=False)
    assert track.decode().split("\t") == ["0.333333", "1.583333", f"{shown_label}\n"]


def test_dcase_names_with_equal_stems_stay_apart() -> None:
    recordings = [recording(name, []) for name in ("a/x.wav", "a/x.mp3", "a__x.flac", "x")]
    files = unpacked(exported(Format.DCASE, recordings))
    names = list(rows_of(files["durations.tsv"], sep="\t")["filename"])
    assert names == ["a__x.wav", "a__x (2).mp3", "a__x (3).flac", "x"]
    scores = {f"scores/{stem}.tsv" for stem in ("a__x", "a__x (2)", "a__x (3)", "x")}
    assert scores == files.keys() - {"labels.tsv", "durations.tsv"}


@dataclass
class Counted:
    """A recording's events, and how many of them were read and not yet written."""

    count: int
    read: int = 0

    def __iter__(self) -> Iterator[Recording]:
        return iter([recording("a.wav", self.events(), duration_s=self.count)])

    def events(self) -> Iterator[ExportedEvent]:
        for number in range(self.count):
            self.read += 1
            yield event(number)


@pytest.mark.parametrize("form", sorted({*READERS} - {Format.PARQUET}))
def test_rows_are_written_as_they_are_read(form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_stream, "PIECE_BYTES", 1_000)
    found = Counted(5_000)
    read = [0]
    for piece in formats.file_of(form, "trip", several=True).write(found):
        read.append(found.read)
        assert len(piece) < 100_000
    assert found.read >= 5_000
    # The compressor of a ZIP holds back up to 3,000 lines.
    assert max(after - before for before, after in pairwise(read)) < 4_000


def test_parquet_is_written_in_groups_of_rows() -> None:
    data = exported(Format.PARQUET, Counted(25_000))  # type: ignore[arg-type]
    groups = parquet.ParquetFile(io.BytesIO(data)).metadata
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [
        10_000,
        10_000,
        5_000,
    ]
