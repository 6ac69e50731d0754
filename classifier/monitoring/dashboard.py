"""How the server is doing, in plain numbers."""

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Min
from django.utils import timezone
from kombu.exceptions import OperationalError

from classifier.models import Analysis, Lane, State
from classifier.services.dispatch import workers_answering

FAILURES_OF_DAYS = 7


@dataclass(frozen=True, slots=True)
class LaneView:
    name: str
    waiting: int
    running: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class FailureView:
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class DiskView:
    free_bytes: int
    total_bytes: int


def lanes() -> list[LaneView]:
    """One row a lane; rows that wait or run are few, and an index finds them."""
    rows = (
        Analysis.objects.filter(state__in=(State.QUEUED, State.RUNNING))
        .values("lane", "state")
        .annotate(count=Count("*"), oldest=Min("created_at"))
        .order_by()
    )
    found = {(row["lane"], row["state"]): row for row in rows}

    def count(lane: Lane, state: State) -> int:
        return found[lane, state]["count"] if (lane, state) in found else 0

    return [
        LaneView(
            name=lane.label,
            waiting=count(lane, State.QUEUED),
            running=count(lane, State.RUNNING),
            oldest=found[lane, State.QUEUED]["oldest"] if (lane, State.QUEUED) in found else None,
        )
        for lane in Lane
    ]


def workers() -> list[str] | None:
    """Names of the workers that answer now; None while the broker is away."""
    try:
        return workers_answering()
    except OperationalError:
        return None


def failures() -> list[FailureView]:
    """By code, of the last days, the most frequent first."""
    since = timezone.now() - timedelta(days=FAILURES_OF_DAYS)
    rows = (
        Analysis.objects.filter(state=State.FAILED, created_at__gte=since)
        .values("error_code")
        .annotate(count=Count("*"))
        .order_by("-count", "error_code")
    )
    return [FailureView(row["error_code"], row["count"]) for row in rows]


def disk() -> DiskView:
    found = shutil.disk_usage(settings.DATA)
    return DiskView(found.free, found.total)
