"""Cut the parts of recordings that an export of checked sounds names out of their files."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ml.audio.decode import RECORDING_LIMITS, gathered, read_blocks
from ml.audio.encode import write_flac
from ml.audio.waveform import WaveformPart
from ml.checkpoint_info import FeatureConfig
from ml.errors import AudioError
from training.data.csv_table import DataError, Row, read_rows
from training.data.index import audio_folder

COLUMNS = ("filename", "category", "source")


class _Part(NamedTuple):
    """A part of a file, and the name of the file that it becomes."""

    name: str
    start_s: float
    end_s: float


def cut(table: Path) -> None:
    """Write each part as a file beside the recording, and the table again with these files.

    The recordings stay. A part that several rows name is written once. If it is interrupted, a
    second call begins anew; afterwards it does nothing.

    Parameters
    ----------
    table : CSV file with filename, category, source, start_s and end_s; a row without start_s is a
        whole file

    Raises
    ------
    DataError
        A row is invalid, a part has two categories, or a recording is missing or cannot be
        decoded.
    """
    parts: defaultdict[str, list[_Part]] = defaultdict(list)
    categories: dict[str, str] = {}
    rows = []
    for row in read_rows(table, *COLUMNS):
        name, category = row.cells["filename"], row.cells["category"]
        if row.cells.get("start_s"):
            part = _part(row)
            if part.name in categories:
                _check_category(row, categories[part.name])
                continue
            categories[part.name] = category
            parts[name].append(part)
            name = part.name
        rows.append([name, category, row.cells["source"]])
    if not parts:
        return
    for name, wanted in tqdm(parts.items(), "cutting", unit="recording", disable=None):
        _write(audio_folder(table) / name, wanted)
    fresh = table.with_suffix(".partial")
    with fresh.open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    fresh.replace(table)


def _part(row: Row) -> _Part:
    try:
        start_s, end_s = float(row.cells["start_s"]), float(row.cells.get("end_s", ""))
    except ValueError as error:
        raise DataError(f"{row.where}: start_s and end_s must be numbers of seconds.") from error
    if not 0 <= start_s < end_s:
        raise DataError(f"{row.where}: start_s must be at least 0 and less than end_s.")
    stem = Path(row.cells["filename"]).stem
    return _Part(f"{stem}_{start_s:.3f}-{end_s:.3f}.flac", start_s, end_s)


def _check_category(row: Row, earlier: str) -> None:
    """Raise DataError if the row gives a part another category than an earlier row."""
    category = row.cells["category"]
    if category != earlier:
        raise DataError(
            f"{row.where}: this part is {category!r} here, but {earlier!r} in an earlier row. "
            "Remove one of them."
        )


def _write(path: Path, parts: Sequence[_Part]) -> None:
    rate = FeatureConfig().sample_rate
    try:
        waveform = gathered(read_blocks(path, rate, RECORDING_LIMITS)).waveform
    except AudioError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}.") from error
    for part in parts:
        span = WaveformPart(waveform, round(part.start_s * rate), round(part.end_s * rate))
        with path.with_name(part.name).open("wb") as file:
            write_flac(file, span, rate)
