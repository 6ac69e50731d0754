"""Notices about finished batches, on the pages and by e-mail.

The sweep finds the batches that have finished and sends the e-mails, so no worker waits for it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from classifier.models import (
    UNFINISHED,
    Analysis,
    Batch,
    BatchFile,
    BatchMail,
    FileOutcome,
    Owner,
    beside,
)
from classifier.services import batches

# Finished batches of one pass of the sweep, and notices of one user.
MAX_BATCHES = 100
# When each attempt to send an e-mail is made, after the batch has finished.
ATTEMPTS_AFTER = tuple(timedelta(minutes=minutes) for minutes in (0, 1, 5, 30, 120))


@dataclass(frozen=True, slots=True)
class Notice:
    """The batch of a user that finished last and is unseen, and the number of other ones."""

    batch: Batch
    totals: batches.Totals
    others: int


def mark_finished() -> int:
    """Mark the closed batches without unfinished files as finished, and return how many.

    The owner is told, unless the batch was cancelled or is empty.
    """
    ended = _ended().filter(finished_at=None)
    found = list(ended.values_list("pk", flat=True)[:MAX_BATCHES])
    if not found:
        return 0
    told = Q(cancelled_at=None) & Exists(BatchFile.objects.filter(batch=OuterRef("pk")))
    # With all conditions again: files may have been retried, or the owner has seen the end.
    return ended.filter(pk__in=found).update(
        finished_at=timezone.now(),
        notice=Case(When(told, then=Value(True)), default=Value(False)),
        mail=Case(When(told, then=F("mail")), default=Value(BatchMail.NONE)),
    )


def _ended() -> QuerySet[Batch]:
    """Return the closed batches without unfinished files."""
    unfinished = Analysis.objects.filter(
        # Fewer analyses are unfinished than a batch has files, so SQLite should begin with those.
        # The owner follows from the batch, but the index begins with it.
        beside(batch_files__batch=OuterRef("pk")),
        owner=OuterRef("owner"),
        state__in=UNFINISHED,
        batch_files__outcome=FileOutcome.ACCEPTED,
    )
    return Batch.objects.filter(~Exists(unfinished), closed_at__isnull=False)


# --- on the pages -------------------------------------------------------------------------


def unseen(user: Owner) -> Notice | None:
    """Return the notice for the pages of a user, or None."""
    rows = list(_unseen(user).order_by("-finished_at")[:MAX_BATCHES])
    return Notice(rows[0], batches.totals(rows[0]), len(rows) - 1) if rows else None


def dismiss(user: Owner, until: datetime) -> None:
    """Mark the batches that finished until then as seen."""
    _unseen(user).filter(finished_at__lte=until).update(notice=False)


def mark_seen(batch: Batch, totals: batches.Totals) -> None:
    """Mark a batch as seen if it has finished, even if the sweep has not found that yet."""
    if batch.open or totals.unfinished or (batch.finished_at and not batch.notice):
        return
    # An empty batch is left to the sweep, which tells nobody of it.
    if not totals.total:
        return
    # With all conditions again: files may have been retried since they were counted.
    now = Coalesce("finished_at", timezone.now())
    _ended().filter(pk=batch.pk).update(finished_at=now, notice=False)


def _unseen(user: Owner) -> QuerySet[Batch]:
    return Batch.objects.filter(owner=user.pk, notice=True)


# --- by e-mail ----------------------------------------------------------------------------


def due_mails(most: int) -> list[Batch]:
    """Return batches whose e-mail should be sent now, with their owners; at most `most`."""
    wanted = Batch.objects.filter(mail=BatchMail.WANTED, cancelled_at=None)
    due = Q()
    for attempts, after in enumerate(ATTEMPTS_AFTER):
        due |= Q(mail_attempts=attempts, finished_at__lte=timezone.now() - after)
    return list(wanted.filter(due).select_related("owner").order_by("finished_at")[:most])


def claim_mail(batch: Batch) -> bool:
    """Move the e-mail from WANTED to SENT before it is sent; return whether this call did.

    Of several callers one sends it. If that one ends meanwhile, the e-mail is lost, not doubled.
    """
    rows = Batch.objects.filter(
        pk=batch.pk,
        mail=BatchMail.WANTED,
        mail_attempts=batch.mail_attempts,
        finished_at=batch.finished_at,
    )
    return bool(rows.update(mail=BatchMail.SENT, mail_attempts=F("mail_attempts") + 1))


def mail_failed(batch: Batch) -> BatchMail:
    """Move a claimed e-mail back to WANTED, or to FAILED after the last attempt."""
    left = batch.mail_attempts + 1 < len(ATTEMPTS_AFTER)
    state = BatchMail.WANTED if left else BatchMail.FAILED
    Batch.objects.filter(pk=batch.pk, mail=BatchMail.SENT).update(mail=state)
    return state
