"""Date hierarchy for large tables: the years, months and days that have rows, found by index.

Django's own date hierarchy reads every row that matches the filters. This one looks up the first
and the last row of the table, and the first row of each period between them; filters do not reduce
the choices.
"""

from calendar import monthrange
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, QuerySet
from django.utils import timezone
from django.utils.formats import date_format

NAMES = ("created_at__year", "created_at__month", "created_at__day")
FORMATS = ("Y", "YEAR_MONTH_FORMAT", "MONTH_DAY_FORMAT")
# [2026], [2026, 11] or [2026, 11, 26].
Period = list[int]


def drill_down(changes: ChangeList) -> dict[str, Any]:
    """Return the context of Django's date hierarchy template."""
    rows = changes.model._default_manager.order_by("created_at")
    times = rows.values_list("created_at", flat=True)
    first, last = times.first(), times.reverse().first()
    if first is None or last is None:
        return {"show": False}
    chosen = [int(changes.params[name]) for name in NAMES if name in changes.params]
    if not chosen and first.year == last.year:
        chosen = [first.year, first.month] if first.month == last.month else [first.year]

    def choice(period: Period) -> dict[str, str]:
        query = dict(zip(NAMES, period, strict=False))
        title = _title(period) if period else "All dates"
        return {"link": changes.get_query_string(query, ["created_at__"]), "title": title}

    back = choice(chosen[:-1]) if chosen else None
    if len(chosen) == len(NAMES):
        return {"show": True, "back": back, "choices": [{"title": _title(chosen)}]}
    choices = [choice(period) for period in _with_rows(rows, _parts(chosen, first, last))]
    return {"show": True, "back": back, "choices": choices}


def _title(period: Period) -> str:
    return date_format(_start(period), FORMATS[len(period) - 1])


def _start(period: Period) -> datetime:
    year, month, day = [*period, 1, 1][:3]
    return timezone.make_aware(datetime(year, month, day))


def _end(period: Period) -> datetime:
    """Return the start of the next year, month or day."""
    longest_days = (366, 31, 1)[len(period) - 1]
    later = _start(period) + timedelta(days=longest_days)
    return _start([later.year, later.month, later.day][: len(period)])


def _parts(chosen: Period, first: datetime, last: datetime) -> list[Period]:
    """Return the days of the chosen month, the months of the year, or all years with rows."""
    if not chosen:
        return [[year] for year in range(first.year, last.year + 1)]
    count = 12 if len(chosen) == 1 else monthrange(*chosen)[1]
    return [[*chosen, number + 1] for number in range(count)]


def _with_rows(rows: QuerySet[Any], periods: Sequence[Period]) -> list[Period]:
    """Return the periods that contain a row, with one query."""
    within = [
        Exists(rows.order_by().filter(created_at__gte=_start(period), created_at__lt=_end(period)))
        for period in periods
    ]
    found = rows.values_list(*within)[:1].get()
    return [period for period, there in zip(periods, found, strict=True) if there]
