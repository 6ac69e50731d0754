"""One CSV over all recordings that Kaleidoscope Pro opens as results."""

from collections.abc import Iterator

from classifier.services.exports.cells import decimal, table
from classifier.services.exports.recordings import Recordings

COLUMNS = (
    "INDIR",
    "FOLDER",
    "IN FILE",
    "OFFSET",
    "DURATION",
    "TOP1MATCH",
    "TOP1DIST",
    "MANUAL ID",
)
# The folder of the recordings on the reader's disk is not known.
INDIR = "."


def write(recordings: Recordings) -> Iterator[bytes]:
    return table(COLUMNS, _rows(recordings), delimiter=",")


def _rows(recordings: Recordings) -> Iterator[list[str]]:
    for recording in recordings:
        folder, _, name = recording.path.rpartition("/")
        for event in recording.events:
            yield [
                INDIR,
                folder,
                name,
                decimal(event.start_s),
                decimal(event.end_s - event.start_s),
                event.label,
                decimal(1 - event.confidence),
                "",
            ]
