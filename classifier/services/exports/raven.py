"""Selection tables of Raven Pro and Raven Lite.

In a table over several recordings, times run on from one to the next, as Raven counts them when the
files are opened together; `File Offset (s)` is the time in the file.
"""

from collections.abc import Iterator

from classifier.services.exports.cells import decimal, table
from classifier.services.exports.recordings import Recording, Recordings
from classifier.services.exports.zip_stream import Member

COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Annotation",
    "Confidence",
    "Begin Path",
    "File Offset (s)",
)
SUFFIX = ".selections.txt"
# Does not end like the table of a recording: that could be named `all`.
ALL = "all.txt"


def write(recordings: Recordings) -> Iterator[bytes]:
    return table(COLUMNS, _rows(recordings))


def members(recordings: Recordings) -> Iterator[Member]:
    """Yield one table over all recordings, and one for each, with its whole name in front."""
    yield Member(ALL, write(recordings))
    for recording in recordings:
        yield Member(recording.path + SUFFIX, write([recording]))


def _rows(recordings: Recordings) -> Iterator[list[str]]:
    number, before_s = 0, 0.0
    for recording in recordings:
        for event in recording.events:
            number += 1
            low_hz, high_hz = _band(recording, event.low_hz, event.high_hz)
            yield [
                str(number),
                "Spectrogram 1",
                "1",
                decimal(before_s + event.start_s),
                decimal(before_s + event.end_s),
                decimal(low_hz),
                decimal(high_hz),
                event.label,
                decimal(event.confidence),
                recording.path,
                decimal(event.start_s),
            ]
        before_s += recording.duration_s


def _band(recording: Recording, low_hz: float | None, high_hz: float | None) -> tuple[float, float]:
    """Return the band within what the file can contain; the whole of that if it is not known."""
    most_hz = recording.sample_rate / 2
    if low_hz is None or high_hz is None or low_hz >= most_hz:
        return 0.0, most_hz
    return low_hz, min(high_hz, most_hz)
