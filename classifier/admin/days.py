"""Years, months and days to choose from: Django's date hierarchy, asked of the index.

Django's own reads every row that the filters leave. This one looks up the first and the last row
of the table, and the first row of each period between them; filters do not thin the choices out.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, QuerySet
from django.utils import timezone
from django.utils.formats import date_format

PARTS = ("year", "month", "day")
FORMATS = ("Y", "YEAR_MONTH_FORMAT", "MONTH_DAY_FORMAT")


def drill_down(changes: ChangeList) -> dict[str, Any]:
    """What Django's template of the date hierarchy shows."""
    names = [f"created_at__{part}" for part in PARTS]
    rows = changes.model._default_manager.order_by("created_at")
    times = rows.values_list("created_at", flat=True)
    first, last = times.first(), times.reverse().first()
    if first is None or last is None:
        return {"show": False}
    chosen = [int(changes.params[name]) for name in names if name in changes.params]
    if not chosen and first.year == last.year:
        chosen = [first.year, first.month] if first.month == last.month else [first.year]

    def link(parts: Sequence[int]) -> str:
        query = dict(zip(names, parts, strict=False))
        return changes.get_query_string(query, ["created_at__"])

    back = None
    if above := chosen[:-1]:
        back = {"link": link(above), "title": _title(_start(above), len(above))}
    elif chosen:
        back = {"link": link([]), "title": "All dates"}
    level = len(chosen) + 1
    if level > len(PARTS):
        return {"show": True, "back": back, "choices": [{"title": _title(_start(chosen), 3)}]}
    choices = [
        {
            "link": link([getattr(start, part) for part in PARTS[:level]]),
            "title": _title(start, level),
        }
        for start in _with_rows(rows, list(_periods(chosen, first, last)), level)
    ]
    return {"show": True, "back": back, "choices": choices}


def _title(start: datetime, level: int) -> str:
    return date_format(start, FORMATS[level - 1])


def _start(parts: Sequence[int]) -> datetime:
    year, month, day = [*parts, 1, 1][:3]
    return timezone.make_aware(datetime(year, month, day))


def _after(start: datetime, level: int) -> datetime:
    """Where the next year (level 1), month (2) or day (3) starts."""
    days_past_the_end = (366, 31, 1)[level - 1]
    later = start + timedelta(days=days_past_the_end)
    return _start([getattr(later, part) for part in PARTS[:level]])


def _periods(chosen: Sequence[int], first: datetime, last: datetime) -> Iterator[datetime]:
    """Starts of the periods inside the chosen one, from the one of `first` to that of `last`."""
    level = len(chosen) + 1
    start = _start(chosen) if chosen else _start([first.year])
    end = min(_after(start, level - 1), last) if chosen else last
    while start <= end and (not chosen or start < _after(_start(chosen), level - 1)):
        following = _after(start, level)
        if following > first:
            yield start
        start = following


def _with_rows(rows: QuerySet[Any], starts: Sequence[datetime], level: int) -> list[datetime]:
    """Those periods in which there is a row, in one query."""
    if not starts:
        return []
    within = [
        Exists(rows.order_by().filter(created_at__gte=start, created_at__lt=_after(start, level)))
        for start in starts
    ]
    found = rows.values_list(*within)[:1].get()
    return [start for start, there in zip(starts, found, strict=True) if there]
