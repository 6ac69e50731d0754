"""Storage used per user, for the users of one page or for those who use most."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Count, Manager, Max, Q, Sum
from django.template.defaultfilters import filesizeformat, pluralize

from classifier.models import Analysis, Batch, Clip, State

MAX_USERS = 20


@dataclass(slots=True)
class Usage:
    """What one user has stored.

    Attributes
    ----------
    size_bytes : int
        Bytes uploaded; identical files of one user are stored once but count each time.
    """

    clips: int = 0
    size_bytes: int = 0
    last_upload: datetime | None = None
    analyses: int = 0
    failed: int = 0
    batches: int = 0

    def __str__(self) -> str:
        counts = (
            f"{self.clips} clip{pluralize(self.clips)} ({filesizeformat(self.size_bytes)})",
            f"{self.analyses} analys{pluralize(self.analyses, 'is,es')}",
            f"{self.batches} batch{pluralize(self.batches, 'es')}",
        )
        return ", ".join(counts)


@dataclass(frozen=True, slots=True)
class StorageUse:
    user_id: int
    username: str
    clips: int
    size_bytes: int


def usage_of(user_ids: Iterable[int]) -> dict[int, Usage]:
    """Return the usage of several users by id, with three queries that read indexes only."""
    found = {user_id: Usage() for user_id in user_ids}
    counted: tuple[tuple[Manager[Any], dict[str, Any]], ...] = (
        (
            Clip.objects,
            {
                "clips": Count("*"),
                "size_bytes": Sum("size_bytes"),
                "last_upload": Max("created_at"),
            },
        ),
        (
            Analysis.objects,
            {"analyses": Count("*"), "failed": Count("state", filter=Q(state=State.FAILED))},
        ),
        (Batch.objects, {"batches": Count("*")}),
    )
    for manager, columns in counted:
        rows = manager.filter(owner__in=list(found))
        for row in rows.values("owner").annotate(**columns).order_by():
            its = found[row.pop("owner")]
            for name, value in row.items():
                setattr(its, name, value)
    return found


def total_of(usage: Collection[Usage]) -> Usage:
    """Return the counts of several users together."""
    counted = ("clips", "size_bytes", "analyses", "failed", "batches")
    return Usage(**{name: sum(getattr(one, name) for one in usage) for name in counted})


def largest_users() -> list[StorageUse]:
    """Return the `MAX_USERS` users who uploaded most, largest first."""
    rows = (
        Clip.objects.values("owner")
        .annotate(clips=Count("*"), bytes=Sum("size_bytes"))
        .order_by("-bytes")[:MAX_USERS]
    )
    users = get_user_model().objects.in_bulk([row["owner"] for row in rows])
    return [
        StorageUse(row["owner"], users[row["owner"]].get_username(), row["clips"], row["bytes"])
        for row in rows
        if row["owner"] in users
    ]
