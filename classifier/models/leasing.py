"""Leased jobs: rows that form the queue, and the updates that workers make to them.

A worker claims rows under a lease and a token, and renews the lease while it works. Every later
update is guarded by the token, so that a worker that lost its lease changes nothing.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from ml.errors import Problem

# Attempts of a job whose worker process was observed to crash.
MAX_ATTEMPTS = 3
# Attempts if a whole worker disappeared: the cause is unknown, most likely a kill from outside.
MAX_ATTEMPTS_WORKER_LOST = 10


class State(models.TextChoices):
    QUEUED = "queued", "waiting"
    RUNNING = "running", "analysing"
    DONE = "done", "done"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


UNFINISHED = (State.QUEUED, State.RUNNING)

Job = TypeVar("Job", bound="LeasedJob")


class LeasedJobQuerySet(models.QuerySet[Job]):
    # What else changes when a job is no longer running, and when it was interrupted.
    released_columns: ClassVar[dict[str, Any]] = {"leased_until": None}
    interrupted_columns: ClassVar[dict[str, Any]] = {}

    def waiting(self) -> Self:
        """Return the queued jobs, oldest first."""
        return self.filter(state=State.QUEUED).order_by("created_at")

    def take(self, jobs: Sequence[Job], **values: Any) -> None:
        """Move these rows from QUEUED to RUNNING, with one lease and one new token.

        Parameters
        ----------
        jobs : sequence of Job
            Locked rows; they are updated in memory too.
        **values
            Further columns to set.
        """
        values |= {"state": State.RUNNING, "token": uuid.uuid4().hex, "leased_until": _lease_end()}
        # A crash can be attributed to a job only if the job ran alone.
        blamed = int(len(jobs) == 1)
        rows = self.filter(pk__in=[job.pk for job in jobs])
        rows.update(**values, attempts=F("attempts") + blamed)
        for job in jobs:
            for name, value in values.items():
                setattr(job, name, value)
            job.attempts += blamed

    def held(self, token: str) -> Self:
        """Return the running rows that this token still holds."""
        return self.filter(token=token, state=State.RUNNING)

    def renew(self, token: str) -> int:
        """Renew the lease of the rows that this token still holds, and return how many."""
        with transaction.atomic():
            # In the order of every transaction that locks several rows, so that none deadlocks.
            held = self.held(token).order_by("pk").select_for_update()
            keys = list(held.values_list("pk", flat=True))
            return self.filter(pk__in=keys).update(leased_until=_lease_end())

    def finish(self, state: State, **values: Any) -> int:
        """Move these rows to a final state and return how many.

        Parameters
        ----------
        **values
            Further columns to set.
        """
        return self.update(
            state=state, finished_at=timezone.now(), **self.released_columns, **values
        )

    def fail(self, problem: Problem) -> int:
        """Move unfinished rows to FAILED and return how many.

        A result that a worker still delivers for them is ignored.
        """
        columns = {f"error_{name}": text[:300] for name, text in problem.as_dict().items()}
        return self.filter(state__in=UNFINISHED).finish(State.FAILED, **columns)

    def requeue_or_fail(
        self, problem: Problem | None = None, *, max_attempts: int = MAX_ATTEMPTS
    ) -> int:
        """Move running rows back to QUEUED, or to FAILED after `max_attempts` attempts.

        Parameters
        ----------
        problem : Problem or None
            Why rows fail; by default, that they were interrupted too often.

        Returns
        -------
        int
            The number of rows that changed.
        """
        rows = self.filter(state=State.RUNNING)
        problem = problem or self.model.interrupted(max_attempts)
        ended = rows.filter(attempts__gte=max_attempts).fail(problem)
        freed = rows.filter(attempts__lt=max_attempts).update(
            state=State.QUEUED, **self.released_columns, **self.interrupted_columns
        )
        return ended + freed

    def requeue_uncounted(self, jobs: Sequence[Job]) -> int:
        """Move running rows back to QUEUED as if they had not been claimed, and return how many.

        Parameters
        ----------
        jobs : sequence of Job
            All rows of the claim; a claim of a single row counted as an attempt.
        """
        blamed = int(len(jobs) == 1)
        return self.filter(state=State.RUNNING).update(
            state=State.QUEUED, **self.released_columns, attempts=F("attempts") - blamed
        )

    def expired(self) -> Self:
        """Return the running jobs whose lease has expired.

        A lease that ends later than any lease set now could end counts as expired too: the clock
        was set back since.
        """
        now = timezone.now()
        latest = now + 2 * timedelta(seconds=settings.LEASE_S)
        return self.filter(
            Q(leased_until__lt=now) | Q(leased_until__gt=latest), state=State.RUNNING
        )


def _lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.LEASE_S)


class LeasedJob(models.Model):
    """A job that a worker claims, holds under a lease, and finishes.

    QUEUED → RUNNING (take) → DONE (finish) | FAILED (fail).
    RUNNING → QUEUED when a lease expires or a worker gives up. An attempt counts only if the job
    ran alone. After three attempts, where the worker's crash was observed, or after ten in any
    case, RUNNING → FAILED.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=9, choices=State.choices, default=State.QUEUED)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    token = models.CharField(
        max_length=32, blank=True, help_text="Token of the claim that holds this job."
    )
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="Number of claims in which this job ran alone."
    )

    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.CharField(max_length=300, blank=True)
    error_hint = models.CharField(max_length=300, blank=True)

    objects: Any  # A manager of a LeasedJobQuerySet; each model has its own.
    # For the error of a job that was interrupted too often: what it is called, and the hint.
    called: ClassVar[str]
    after_crashes: ClassVar[str]

    class Meta:
        abstract = True
        indexes = [
            models.Index(fields=["state", "leased_until"], name="%(class)s_leases"),
            models.Index(fields=["token"], name="%(class)s_token"),
        ]

    @classmethod
    def interrupted(cls, times: int) -> Problem:
        """Return the problem of a job that was interrupted `times` times."""
        detail = f"{cls.called} was interrupted {times} times and will not be retried."
        return Problem("crashed", detail, cls.after_crashes)

    @property
    def folder(self) -> Path:
        """The folder of the files written under the current token."""
        raise NotImplementedError

    def held(self) -> LeasedJobQuerySet[Any]:
        """Return a queryset of this row, empty unless its token still holds it."""
        return type(self).objects.held(self.token).filter(pk=self.pk)

    @property
    def unfinished(self) -> bool:
        return self.state in UNFINISHED

    @property
    def error(self) -> Problem | None:
        if self.state != State.FAILED:
            return None
        return Problem(self.error_code, self.error_detail, self.error_hint)
