"""The tables of the DCASE challenge, as `sed_scores_eval` and other evaluators read them.

They identify a recording by its file name without folder and ending, so folders become a part of
the name, and names that would meet are numbered.
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import chain
from pathlib import PurePosixPath

from classifier.checkpoints import inventory
from classifier.services.exports.cells import decimal, table
from classifier.services.exports.recordings import ExportedEvent, Recording, Recordings
from classifier.services.exports.zip_stream import Member

LABELS, DURATIONS, SCORES = "labels.tsv", "durations.tsv", "scores"
LABEL_COLUMNS = ("filename", "onset", "offset", "event_label")


def members(recordings: Recordings) -> Iterator[Member]:
    """Yield the labels, the durations, and the scores of each recording."""
    yield Member(LABELS, table(LABEL_COLUMNS, _label_rows(recordings)))
    yield Member(DURATIONS, table(("filename", "duration"), _duration_rows(recordings)))
    classes = _classes(recordings)
    if not classes:
        return
    for name, recording in _named(recordings):
        rows = _score_rows(recording, classes)
        yield Member(f"{SCORES}/{_stem(name)}.tsv", table(("onset", "offset", *classes), rows))


def _label_rows(recordings: Recordings) -> Iterator[Sequence[str]]:
    for name, recording in _named(recordings):
        empty = True
        for event in recording.events:
            yield name, decimal(event.start_s), decimal(event.end_s), event.label
            empty = False
        if empty:
            yield name, "", "", ""


def _duration_rows(recordings: Recordings) -> Iterator[Sequence[str]]:
    for name, recording in _named(recordings):
        yield name, decimal(recording.duration_s)


def _named(recordings: Recordings) -> Iterator[tuple[str, Recording]]:
    """Yield the recordings with file names that differ before their ending."""
    taken: set[str] = set()
    for recording in recordings:
        flat = PurePosixPath(recording.path.replace("/", "__"))
        name, number = flat.name, 1
        while _stem(name) in taken:
            number += 1
            name = f"{flat.stem} ({number}){flat.suffix}"
        taken.add(_stem(name))
        yield name, recording


def _stem(name: str) -> str:
    return name.rsplit(".", maxsplit=1)[0]


def _classes(recordings: Recordings) -> list[str]:
    """Return every label of the export, and every class of its checkpoints that are installed."""
    labels: set[str] = set()
    checkpoints: set[str] = set()
    for recording in recordings:
        checkpoints.add(recording.checkpoint)
        labels.update(event.label for event in recording.events)
    for one in inventory.installed():
        if one.identity in checkpoints:
            labels.update(one.info.classes)
    return sorted(labels)


def _score_rows(recording: Recording, classes: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the spans between the edges of events, each with the confidence of the events in it.

    The scores of single frames are not stored. A class without an event has the score 0.
    """
    active: list[tuple[float, str, float]] = []  # by end
    now_s = 0.0
    end = ExportedEvent("", recording.duration_s, recording.duration_s, 0.0, 0.0)
    for event in chain(recording.events, (end,)):
        # As they are written, so that no span is written with the length 0.
        start_s = round(event.start_s, 6)
        while now_s < start_s:
            until_s = min([start_s, *(one[0] for one in active[:1])])
            if until_s > now_s:
                yield decimal(now_s), decimal(until_s), *_scores(active, classes)
                now_s = until_s
            while active and active[0][0] <= now_s:
                heappop(active)
        heappush(active, (round(event.end_s, 6), event.label, event.confidence))


def _scores(active: Sequence[tuple[float, str, float]], classes: Sequence[str]) -> list[str]:
    by_confidence = sorted(active, key=lambda one: one[2])
    highest = {label: decimal(confidence) for _, label, confidence in by_confidence}
    return [highest.get(name, "0") for name in classes]
