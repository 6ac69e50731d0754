"""Label tracks of Audacity: start, end and label, then the frequencies if they are known."""

from collections.abc import Iterator

from classifier.services.exports.cells import decimal, one_line
from classifier.services.exports.recordings import Recording, Recordings
from classifier.services.exports.zip_stream import Member

SUFFIX = ".txt"


def write(recordings: Recordings) -> Iterator[bytes]:
    """Yield the label track of one recording; a track has no room for a file name.

    Raises
    ------
    ValueError
        There are several recordings.
    """
    (recording,) = recordings
    return _lines(recording)


def members(recordings: Recordings) -> Iterator[Member]:
    """Yield a label track for each recording, with its whole name in front."""
    for recording in recordings:
        yield Member(recording.path + SUFFIX, _lines(recording))


def _lines(recording: Recording) -> Iterator[bytes]:
    for event in recording.events:
        label = one_line(event.label)
        yield f"{decimal(event.start_s)}\t{decimal(event.end_s)}\t{label}\n".encode()
        if event.low_hz is not None and event.high_hz is not None:
            yield f"\\\t{decimal(event.low_hz)}\t{decimal(event.high_hz)}\n".encode()
