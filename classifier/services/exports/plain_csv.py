"""One row per event as CSV, for spreadsheets and scripts."""

from collections.abc import Iterator

from classifier.services.exports.csv_lines import csv_lines
from classifier.services.exports.recordings import Recordings

COLUMNS = (
    "file",
    "label",
    "start_s",
    "end_s",
    "confidence",
    "peak_s",
    "low_hz",
    "high_hz",
    "starts_at",
    "judged_label",
    "judged_by",
    "judged_at",
    "analysis",
    "checkpoint",
)


def write(recordings: Recordings) -> Iterator[bytes]:
    for line in csv_lines(COLUMNS, _rows(recordings)):
        yield line.encode()


def _rows(recordings: Recordings) -> Iterator[list[object]]:
    for recording in recordings:
        for event in recording.events:
            values = event.values().values()
            yield [recording.path, *values, recording.analysis, recording.checkpoint]
