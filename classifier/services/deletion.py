"""What goes, and when: a person with everything that is theirs, and what is older than allowed."""

from datetime import timedelta

from axes.utils import reset
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef
from django.utils import timezone

from classifier.models import UNFINISHED, Analysis, ApiToken, Batch, Clip
from classifier.services import uploads

# Deleted in one transaction, so that nobody waits long for the database.
CLIPS_AT_ONCE = 500


def is_last_keeper(user) -> bool:
    """Would nobody be left who runs this Sonoscope?"""
    others = get_user_model().objects.filter(is_superuser=True, is_active=True).exclude(pk=user.pk)
    return user.is_superuser and not others.exists()


def delete_account(user) -> None:
    """The person, and their clips, analyses, batches, inspections, tokens, sessions and files.

    Nobody can sign in as them from its first moment; cut off in between, a second call goes on.
    """
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    ApiToken.objects.filter(user=user).delete()
    _end_sessions(user)
    mine = Clip.objects.filter(owner=user)
    while some := list(mine.values_list("pk", flat=True)[:CLIPS_AT_ONCE]):
        uploads.delete_clips(mine.filter(pk__in=some))
    reset(username=user.get_username())
    user.delete()


def remove_aged(limit: int) -> int:
    """Clips that came in before the days that KEEP_DAYS allows, unless one is still being heard;
    and batches of that age that have no file any more. Returns how many clips went, at most
    `limit`.
    """
    if not settings.KEEP_DAYS:
        return 0
    oldest = timezone.now() - timedelta(days=settings.KEEP_DAYS)
    active = Analysis.objects.filter(clip=OuterRef("pk"), state__in=UNFINISHED)
    aged = Clip.objects.filter(~Exists(active), created_at__lt=oldest)
    some = list(aged.order_by("created_at").values_list("pk", flat=True)[:limit])
    if some:
        uploads.delete_clips(aged.filter(pk__in=some))
    Batch.objects.filter(created_at__lt=oldest, files=None).delete()
    return len(some)


def _end_sessions(user) -> None:
    """A session's owner is inside what it holds, so each one is looked at."""
    theirs = [
        session.pk
        for session in Session.objects.iterator()
        if session.get_decoded().get("_auth_user_id") == str(user.pk)
    ]
    Session.objects.filter(pk__in=theirs).delete()
