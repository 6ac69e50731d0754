"""Limits on a user's unfinished clips and daily uploads, so that the server is shared fairly."""

from datetime import timedelta

from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from classifier.models import UNFINISHED, Analysis, Clip, Owner
from ml.errors import Problem


def reached(owner: Owner, size_bytes: int) -> Problem | None:
    """Return the problem if one more clip of `size_bytes` would exceed a quota.

    Superusers have no quota.
    """
    if owner.is_superuser:
        return None
    if room(owner) == 0:
        return Problem(
            "too_many_waiting",
            f"You have reached the limit for unfinished clips ({settings.MAX_WAITING_CLIPS:,}).",
            "Wait until some of them are finished, then try again.",
        )
    day = Clip.objects.filter(owner=owner.pk, created_at__gt=timezone.now() - timedelta(days=1))
    uploaded_bytes = day.aggregate(bytes=Sum("size_bytes"))["bytes"] or 0
    if uploaded_bytes + size_bytes > settings.MAX_DAY_BYTES:
        return Problem(
            "too_much_today",
            f"You have uploaded {uploaded_bytes / 1e9:.1f} GB in the last 24 hours; "
            f"the limit is {settings.MAX_DAY_BYTES / 1e9:.0f} GB.",
            "Try again tomorrow, or ask an administrator for a higher limit.",
        )
    return None


def room(owner: Owner) -> int | None:
    """Return how many more analyses of this user may wait; None if there is no limit."""
    if owner.is_superuser:
        return None
    waiting = Analysis.objects.filter(owner=owner.pk, state__in=UNFINISHED).count()
    return max(0, settings.MAX_WAITING_CLIPS - waiting)
