"""One CSV over all recordings in the columns of BirdNET-Analyzer."""

from collections.abc import Iterator

from classifier.services.exports.cells import decimal
from classifier.services.exports.csv_lines import csv_lines
from classifier.services.exports.recordings import Recordings

COLUMNS = ("Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File")


def write(recordings: Recordings) -> Iterator[bytes]:
    """Yield the lines. Both columns of names contain the label: classes have no scientific name."""
    for line in csv_lines(COLUMNS, _rows(recordings)):
        yield line.encode()


def _rows(recordings: Recordings) -> Iterator[list[str]]:
    for recording in recordings:
        for event in recording.events:
            yield [
                decimal(event.start_s),
                decimal(event.end_s),
                event.label,
                event.label,
                decimal(event.confidence),
                recording.path,
            ]
