"""Figures of the admin dashboard."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

from classifier.models import UNFINISHED, Analysis, Inspection, Lane, State
from classifier.monitoring import probes

FAILURES_OF_DAYS = 7
PING_S = 0.5


@dataclass(frozen=True, slots=True)
class LaneView:
    """Jobs of one kind (a model's name) in one lane.

    Attributes
    ----------
    oldest : datetime or None
        Creation time of the oldest waiting job; None if none waits.
    """

    name: str
    kind: str
    waiting: int
    running: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class FailureView:
    kind: str
    code: str
    count: int


def lanes() -> list[LaneView]:
    """Return the analyses of each lane, then the inspections, which share the interactive lane."""
    return [
        *(_lane(lane.label, Analysis.objects.filter(lane=lane)) for lane in Lane),
        _lane(f"{Lane.INTERACTIVE.label}: inspections", Inspection.objects.all()),
    ]


def _lane(name: str, rows: QuerySet[Any]) -> LaneView:
    """Count unfinished rows. They are few, and an index finds them."""
    waiting = Q(state=State.QUEUED)
    counts = rows.filter(state__in=UNFINISHED).aggregate(
        waiting=Count("state", filter=waiting),
        running=Count("state", filter=~waiting),
        oldest=Min("created_at", filter=waiting),
    )
    return LaneView(name, str(rows.model._meta.model_name), **counts)


def workers() -> list[str] | None:
    """Return the names of the workers that answer, or None if the broker does not."""
    try:
        return probes.workers(PING_S)
    except OperationalError:
        return None


def failures() -> list[FailureView]:
    """Return the failures of the last `FAILURES_OF_DAYS` days by job kind and error code.

    The most frequent come first.
    """
    since = timezone.now() - timedelta(days=FAILURES_OF_DAYS)
    found = [
        FailureView(str(job._meta.model_name), code, count)
        for job in probes.JOBS
        for code, count in job.objects.filter(state=State.FAILED, created_at__gte=since)
        .values_list("error_code")
        .annotate(count=Count("*"))
        .order_by()
    ]
    return sorted(found, key=lambda failure: (-failure.count, failure.code))
