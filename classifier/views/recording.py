"""The events of a recording on its result page: title, table, lanes and chart."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from classifier.checkpoints.class_names import display_name
from classifier.models import Analysis, Event, State
from classifier.services.exports import formats
from classifier.templatetags.sound import clock, sounds
from classifier.views.forms import EVENT_ORDERS, EventsForm
from classifier.views.parts import for_script
from classifier.views.readers import reader_of
from ml import tiles
from ml.render_metadata import RenderMetadata

PAGE_EVENTS = 50
# Lanes that are shown before "more" is pressed. It is not offered for fewer than MIN_HIDDEN more.
SHOWN_LANES = 8
MIN_HIDDEN = 3
MINUTE_S, HOUR_S = 60, 3600
# Longer recordings are counted by the hour.
MAX_MINUTES = 180
# A chart of fewer bars shows nothing.
MIN_BARS = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """How many events begin in one minute or hour.

    Attributes
    ----------
    place, width, top, height : float
        Percentages of the chart.
    """

    place: float
    width: float
    top: float
    height: float
    count: int
    start_s: float


@dataclass(frozen=True, slots=True)
class Chart:
    """The number of events in each minute or hour.

    Attributes
    ----------
    unit : str
        minute or hour.
    most : Bar
        The first of the highest.
    """

    unit: str
    bars: Sequence[Bar]
    most: Bar


def opened_event(analysis: Analysis, asked: QueryDict) -> Event | None:
    """Return the event that the page opens: the requested one, or the one with most confidence.

    None if there is no event, or a window was requested instead.
    """
    events = analysis.events.select_related("judgement__user")
    number = asked.get("event", "")
    if number.isascii() and number.isdigit() and len(number) < 19:
        with suppress(Event.DoesNotExist):
            return events.get(pk=int(number))
    return None if asked.get("window") else events.strongest()


def window_of(metadata: RenderMetadata, event: Event) -> int:
    """Return the window that shows an event: one around its peak.

    Preferably one whose best class is the event's label, then the one with the peak nearest to its
    middle.
    """

    def rank(window: int) -> tuple[float, float]:
        one = metadata.window_predictions[window]
        distance_s = abs(one.start_s + metadata.window_s / 2 - event.peak_s)
        inside = distance_s <= metadata.window_s / 2
        return (one.confidence if inside and one.label == event.label else 0.0, -distance_s)

    return max(range(metadata.window_count), key=rank)


def recording_context(
    analysis: Analysis, metadata: RenderMetadata, asked: QueryDict, opened: Event | None
) -> dict[str, Any]:
    """Return `recording`: what the page of a recording has and that of a short clip has not."""
    duration_s = analysis.clip.duration_s or 0.0
    started_at = analysis.clip.clock_time()
    labels = list(analysis.events.labels())
    form = EventsForm(asked, labels=labels)
    chosen = form.cleaned_data if form.is_valid() else {}
    label, least = chosen.get("label", ""), chosen.get("min_confidence") or 0.0
    sort = chosen.get("sort") or "start"
    found = analysis.events.filter(confidence__gte=least).select_related("judgement")
    if label:
        found = found.filter(label=label)
    page = _page(_sorted(found, sort), asked, opened)
    return {
        "title": title(analysis.event_count or 0, duration_s, analysis.clip.silent),
        "silent": analysis.clip.silent,
        "started_at": started_at,
        "opened": opened,
        "asked": bool(asked.get("event") or asked.get("window")),
        "lanes": [row | {"url": _query(asked, label=row["label"], page="")} for row in labels],
        "shown_lanes": shown_lanes(len(labels)),
        "levels": json.dumps(_levels(metadata)),
        "form": form,
        # What a change of the filters keeps.
        "kept": [(name, asked[name]) for name in ("event", "window", "sort") if asked.get(name)],
        "exports": formats.NAMES.items(),
        "export_query": _export_query(label, least),
        "filtered": bool(label or least),
        "label": label,
        "unfiltered": _query(asked, label="", min_confidence="", page=""),
        "page": page,
        "sorts": {name: _sort(asked, name, sort) for name in EVENT_ORDERS},
        "previous": _query(asked, page=page.number - 1),
        "next": _query(asked, page=page.number + 1),
        # For the links of the rows.
        "query": _query(asked, event="", window=""),
        "chart": chart(list(found.values_list("start_s", flat=True)), duration_s),
    }


def shown_lanes(count: int) -> int:
    """Return how many of so many lanes are shown at first."""
    return count if count < SHOWN_LANES + MIN_HIDDEN else SHOWN_LANES


def title(count: int, duration_s: float, silent: bool) -> str:
    """Return the heading: 39 sounds in 9:02."""
    return f"{sounds(count, silent)} {'for' if silent else 'in'} {clock(duration_s)}"


def chart(starts_s: Sequence[float], duration_s: float) -> Chart | None:
    """Count events by the minute, or by the hour in long recordings; None for a short recording."""
    unit, step_s = ("minute", MINUTE_S)
    if duration_s > MAX_MINUTES * MINUTE_S:
        unit, step_s = ("hour", HOUR_S)
    if duration_s <= (MIN_BARS - 1) * step_s or not starts_s:
        return None
    counts = Counter(int(start_s // step_s) for start_s in starts_s)
    highest = max(counts.values())
    bars = []
    for number in range(int(-(-duration_s // step_s))):
        start_s, count = number * step_s, counts[number]
        width = 100 * min(step_s, duration_s - start_s) / duration_s
        place, height = 100 * start_s / duration_s, 100 * count / highest
        across = round(place, 3), round(width, 3)
        bars.append(Bar(*across, round(100 - height, 2), round(height, 2), count, start_s))
    return Chart(unit, bars, max(bars, key=lambda bar: bar.count))


@require_GET
@for_script
def lanes(request: HttpRequest, pk: UUID, token: str = "") -> HttpResponse:
    """Return the events of each label for the lanes, in the order of the page's lanes.

    Each event is [id, start, end, confidence].
    """
    analyses = reader_of(request, token).analyses
    analysis = get_object_or_404(analyses, pk=pk, state=State.DONE)
    spans: dict[str, list[tuple[int, float, float, float]]] = {
        row["label"]: [] for row in analysis.events.labels()
    }
    columns = ("label", "pk", "start_s", "end_s", "confidence")
    for label, number, start_s, end_s, confidence in analysis.events.order_by(
        "start_s", "pk"
    ).values_list(*columns):
        spans[label].append((number, round(start_s, 3), round(end_s, 3), round(confidence, 3)))
    found = [
        {"label": label, "name": display_name(label), "events": events}
        for label, events in spans.items()
    ]
    return JsonResponse({"lanes": found}, headers={"Cache-Control": "private, max-age=3600"})


def _levels(metadata: RenderMetadata) -> list[dict[str, Any]]:
    """Return the levels of the spectrogram's tiles, with the frames of a tile and of a column."""
    return [
        {
            "name": name,
            "frames": tiles.TILE_COLUMNS * tiles.LEVELS[name],
            "step": tiles.LEVELS[name],
        }
        for name in tiles.levels(metadata.frames, metadata.shown_columns)
    ]


def _page(events: QuerySet[Event], asked: QueryDict, opened: Event | None) -> Page[Event]:
    """Return the requested page of the table; from a link to an event, the page with that event."""
    number = asked.get("page")
    others = ("page", "sort", "label", "min_confidence")
    if opened and asked.get("event") and not any(asked.get(name) for name in others):
        before = events.filter(start_s__lt=opened.start_s).count()
        before += events.filter(start_s=opened.start_s, pk__lt=opened.pk).count()
        number = str(before // PAGE_EVENTS + 1)
    return Paginator(events, PAGE_EVENTS).get_page(number)


def _sorted(events: QuerySet[Event], sort: str) -> QuerySet[Event]:
    first, *others = EVENT_ORDERS[sort.removeprefix("-")]
    return events.order_by(f"-{first}" if sort.startswith("-") else first, *others)


def _sort(asked: QueryDict, name: str, now: str) -> dict[str, str]:
    """Return the link in a column's header, and how the column is sorted now."""
    falling = now.startswith("-")
    if now.removeprefix("-") == name:
        after, state = (name if falling else f"-{name}"), ("descending" if falling else "ascending")
    else:
        after, state = (f"-{name}" if name == "confidence" else name), ""
    return {"url": _query(asked, sort=after, page=""), "state": state}


def _query(asked: QueryDict, **changes: object) -> str:
    """Return the query of the page with some parameters changed; empty ones are left out."""
    known = ("event", "window", "label", "min_confidence", "sort", "page")
    query = QueryDict(mutable=True)
    for name in known:
        value = str(changes.get(name, asked.get(name, "")))
        if value:
            query[name] = value
    return query.urlencode()


def _export_query(label: str, least: float) -> str:
    """Return the filters of the table for the API, ready for another parameter after them."""
    chosen = {"label": label, "min_confidence": least or ""}
    return "".join(f"{urlencode({name: value})}&" for name, value in chosen.items() if value)
