"""What an export contains, as plain values: recordings and their events.

Rows are read in pages, so that a hundred thousand events take as much memory as a few hundred, and
no cursor stays open during a download.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

from classifier.models import Analysis, Batch, Clip, Event, State, judgement_of
from classifier.models.history import behind
from classifier.services.exports.cells import utc_text

RECORDINGS_AT_ONCE = 200
EVENTS_AT_ONCE = 2_000
HEAVY = ("predictions", "render_metadata", "embedding", "timings")

Row = TypeVar("Row", bound=Model)
# An analysis, and its path in the export.
Found = tuple[str, Analysis]


@dataclass(frozen=True, slots=True)
class ExportedEvent:
    """A span of one label in a recording.

    Attributes
    ----------
    start_s, end_s, peak_s : float
        From the start of the recording.
    low_hz, high_hz : float or None
        None if they are not known.
    starts_at : datetime or None
        Clock time of the start: aware if the recording's zone is known, otherwise naive. None if
        the time of the recording is not known.
    judged_label : str or None
        The right class, as a person says. None without a judgement, and for none of the classes.
    judged_by : str or None
        Username; None without a judgement, or if the account was deleted.
    judged_at : datetime or None
        None without a judgement.
    """

    label: str
    start_s: float
    end_s: float
    confidence: float
    peak_s: float
    low_hz: float | None = None
    high_hz: float | None = None
    starts_at: datetime | None = None
    judged_label: str | None = None
    judged_by: str | None = None
    judged_at: datetime | None = None

    @property
    def clock_time(self) -> str | None:
        """`starts_at` in ISO 8601 to the millisecond, without an offset if the zone is unknown."""
        return self.starts_at.isoformat(timespec="milliseconds") if self.starts_at else None

    def values(self) -> dict[str, Any]:
        """Return the values by their names in our own tables."""
        return {
            "label": self.label,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "confidence": self.confidence,
            "peak_s": self.peak_s,
            "low_hz": self.low_hz,
            "high_hz": self.high_hz,
            "starts_at": self.clock_time,
            "judged_label": self.judged_label,
            "judged_by": self.judged_by,
            "judged_at": utc_text(self.judged_at),
        }


@dataclass(frozen=True, slots=True)
class Recording:
    """A finished analysis of a recording, with its events by start.

    Attributes
    ----------
    path : str
        Path of the file, which no other recording of the export has. `/` separates folders.
    analysis : str
        Id of the analysis.
    checkpoint : str
        name@sha256.
    sample_rate : int
        Of the file, in Hz.
    sha256 : str
        Of the file, in hex.
    events : iterable of ExportedEvent
        Can be read once.
    """

    path: str
    analysis: str
    checkpoint: str
    duration_s: float
    sample_rate: int
    sha256: str
    recorded_at: str
    events: Iterable[ExportedEvent]


# Each iteration returns all recordings again.
Recordings = Iterable[Recording]


@dataclass(frozen=True, slots=True)
class Selection:
    """Recordings in the database. Each iteration reads them again.

    Attributes
    ----------
    pages : callable
        Returns the analyses, some hundred at a time.
    condition : Q
        Of the events.
    """

    pages: Callable[[], Iterator[list[Found]]]
    condition: Q

    def __iter__(self) -> Iterator[Recording]:
        for page in self.pages():
            for chunk in _chunks(page):
                yield from self._recordings(chunk)

    def _recordings(self, chunk: Sequence[Found]) -> Iterator[Recording]:
        events = Event.objects.filter(self.condition).select_related("judgement__user")
        if len(chunk) == 1:
            ((path, analysis),) = chunk
            pages = by_key(events.filter(analysis=analysis), ("start_s", "id"), EVENTS_AT_ONCE)
            yield _recording(path, analysis, (event for page in pages for event in page))
            return
        found: dict[Any, list[Event]] = defaultdict(list)
        keys = [analysis.pk for _, analysis in chunk]
        for event in events.filter(analysis__in=keys).order_by("analysis", "start_s", "id"):
            found[event.analysis_id].append(event)
        for path, analysis in chunk:
            yield _recording(path, analysis, found[analysis.pk])


def of_analysis(analysis: Analysis, condition: Q) -> Selection:
    return Selection(lambda: iter([[(analysis.clip.name, analysis)]]), condition)


def of_batch(batch: Batch, condition: Q) -> Selection:
    """Return the finished files of a batch by path; duplicates have the events of the original."""
    files = batch.files.filter(analysis__state=State.DONE).select_related("analysis__clip")
    files = files.defer(*(f"analysis__{name}" for name in HEAVY))

    def pages() -> Iterator[list[Found]]:
        for page in by_key(files, ("path",), RECORDINGS_AT_ONCE):
            yield [(file.path, file.analysis) for file in page if file.analysis]

    return Selection(pages, condition)


def of_analyses(rows: QuerySet[Analysis], condition: Q) -> Selection:
    """Return the finished ones of these analyses, newest first, each in a folder named by its id.

    The folders are needed because names repeat, and a clip can have several analyses.
    """
    finished = rows.filter(state=State.DONE).select_related("clip").defer(*HEAVY)

    def pages() -> Iterator[list[Found]]:
        for page in by_key(finished, ("-created_at", "-id"), RECORDINGS_AT_ONCE):
            yield [(f"{analysis.pk}/{analysis.clip.name}", analysis) for analysis in page]

    return Selection(pages, condition)


def by_key(rows: QuerySet[Row], order: tuple[str, ...], most: int) -> Iterator[list[Row]]:
    """Yield pages of rows, each found by the last row of the page before.

    Parameters
    ----------
    order : tuple of str
        Columns to order by, together unique; `-` in front for descending ones.
    most : int
        Rows in a page.
    """
    rows = rows.order_by(*order)
    page = list(rows[:most])
    while page:
        yield page
        page = list(rows.filter(behind(page[-1], order))[:most]) if len(page) == most else []


def _chunks(page: Sequence[Found]) -> Iterator[Sequence[Found]]:
    """Split a page so that the events of a chunk fit in memory; large recordings are alone."""
    chunk: list[Found] = []
    count = 0
    for found in page:
        events = found[1].event_count or 0
        if chunk and count + events > EVENTS_AT_ONCE:
            yield chunk
            chunk, count = [], 0
        chunk.append(found)
        count += events
    if chunk:
        yield chunk


def _recording(path: str, analysis: Analysis, events: Iterable[Event]) -> Recording:
    clip = analysis.clip
    # A finished analysis has stored what the decoder found.
    assert clip.duration_s is not None
    assert clip.source_rate_hz is not None
    return Recording(
        path,
        str(analysis.pk),
        analysis.checkpoint,
        clip.duration_s,
        clip.source_rate_hz,
        clip.sha256,
        clip.recorded_at,
        (_exported(event, clip) for event in events),
    )


def _exported(event: Event, clip: Clip) -> ExportedEvent:
    said = judgement_of(event)
    return ExportedEvent(
        event.label,
        event.start_s,
        event.end_s,
        event.confidence,
        event.peak_s,
        event.low_hz,
        event.high_hz,
        clip.clock_time(event.start_s),
        *((said.label or None, said.by, said.created_at) if said else ()),
    )
