"""One row per event as Parquet, for pandas, DuckDB, R and others.

The columns are those of the CSV, and `starts_at_utc`: a column of timestamps has one zone, so it
contains only the times whose zone is known.
"""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any

from classifier import storage
from classifier.services.exports.recordings import ExportedEvent, Recordings

# A row group is the unit in which rows are written and read.
GROUP_ROWS = 10_000
BLOCK_BYTES = 1 << 20


def write(recordings: Recordings) -> Iterator[bytes]:
    """Yield the file, which is written to disk first: its index is at the end."""
    with tempfile.TemporaryFile(dir=storage.incoming_folder()) as file:
        _write_to(file, recordings)
        file.seek(0)
        while block := file.read(BLOCK_BYTES):
            yield block


def _write_to(file: IO[bytes], recordings: Recordings) -> None:
    # Imported here: it takes as long to load as half of the web process, which rarely needs it.
    import pyarrow
    from pyarrow import parquet

    text, number = pyarrow.string(), pyarrow.float64()
    moment = pyarrow.timestamp("us", tz="UTC")
    schema = pyarrow.schema(
        [
            *(pyarrow.field(name, text, nullable=False) for name in ("file", "label")),
            *(
                pyarrow.field(name, number, nullable=False)
                for name in ("start_s", "end_s", "confidence", "peak_s")
            ),
            *(pyarrow.field(name, number) for name in ("low_hz", "high_hz")),
            pyarrow.field("starts_at", text),
            pyarrow.field("starts_at_utc", moment),
            *(pyarrow.field(name, text) for name in ("judged_label", "judged_by", "judged_at")),
            *(pyarrow.field(name, text, nullable=False) for name in ("analysis", "checkpoint")),
        ]
    )
    rows = _rows(recordings)
    with parquet.ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, GROUP_ROWS)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema))


def _rows(recordings: Recordings) -> Iterator[dict[str, Any]]:
    for recording in recordings:
        for event in recording.events:
            yield {
                "file": recording.path,
                **event.values(),
                "starts_at_utc": _utc(event),
                "analysis": recording.analysis,
                "checkpoint": recording.checkpoint,
            }


def _utc(event: ExportedEvent) -> datetime | None:
    known = event.starts_at is not None and event.starts_at.tzinfo is not None
    return event.starts_at.astimezone(UTC) if event.starts_at and known else None
