"""Batches and their files."""

import uuid
from collections.abc import Collection
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Left
from django.utils import timezone

from classifier.checkpoints import inventory
from classifier.models.analyses import Analysis, State
from classifier.models.clips import Clip, Owner
from ml.errors import Problem


class BatchState(models.TextChoices):
    """Whether a batch accepts files; the analyses have the state of each file."""

    OPEN = "open", "open"
    CLOSED = "closed", "closed"
    CANCELLED = "cancelled", "cancelled"


class BatchQuerySet(models.QuerySet["Batch"]):
    def for_owner(self, user: Owner) -> Self:
        return self.filter(owner=user.pk).order_by("-created_at", "-id")

    def resume(self, analyses: Any) -> None:
        """Mark the finished batches of these unfinished analyses as not finished.

        Call it in the transaction that gives them the analyses.

        Parameters
        ----------
        analyses : collection of UUID, or a queryset of them
        """
        files = BatchFile.objects.filter(analysis__in=analyses, outcome=FileOutcome.ACCEPTED)
        ended = self.filter(pk__in=files.values("batch"), finished_at__isnull=False)
        # Locked in this order, so that two calls do not deadlock.
        keys = list(ended.order_by("pk").select_for_update().values_list("pk", flat=True))
        self.filter(pk__in=keys).update(finished_at=None, notice=False)


class BatchMail(models.TextChoices):
    """The e-mail about a finished batch: NONE, or WANTED → SENT | FAILED.

    SENT | FAILED → WANTED when its failed files are retried.
    """

    NONE = "", "none"
    WANTED = "wanted", "wanted"
    SENT = "sent", "sent"
    FAILED = "failed", "failed"


class Batch(models.Model):
    """Many clips submitted together. After it is closed or cancelled, no file can be added."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="batches")
    name = models.CharField(max_length=255)
    source = models.CharField(max_length=1000, blank=True, help_text="DIR of `submit_folder`.")
    checkpoint = models.CharField(
        max_length=120,
        blank=True,
        help_text="name@sha256, used for all files; empty means the default.",
    )
    created_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(
        null=True, help_text="When the sweep found no unfinished file in the closed batch."
    )
    notice = models.BooleanField(
        default=False, help_text="Whether the pages tell its owner that it has finished."
    )
    mail = models.CharField(
        max_length=6, choices=BatchMail.choices, default=BatchMail.NONE, blank=True
    )
    mail_attempts = models.PositiveSmallIntegerField(default=0)
    left_out = models.PositiveIntegerField(
        default=0,
        help_text="Number of files of the folder or ZIP that were left out before sending, because "
        "they are hidden or no audio by their names.",
    )

    objects = BatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "batches"
        indexes = [
            models.Index(fields=["owner", "-created_at", "-id"], name="batch_newest"),
            models.Index(fields=["-created_at", "-id"], name="batch_by_age"),
            models.Index(fields=["finished_at", "closed_at"], name="batch_finished"),
            models.Index(
                fields=["owner", "-finished_at"], condition=Q(notice=True), name="batch_notices"
            ),
            models.Index(fields=["mail", "finished_at"], name="batch_mails"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def open(self) -> bool:
        return self.closed_at is None

    @property
    def state(self) -> BatchState:
        if self.cancelled_at:
            return BatchState.CANCELLED
        return BatchState.OPEN if self.open else BatchState.CLOSED


class FileOutcome(models.TextChoices):
    """The outcome of sending a file; the state of its processing is that of its analysis."""

    ACCEPTED = "accepted", "accepted"
    REFUSED = "refused", "refused"
    DUPLICATE = "duplicate", "duplicate"


class BatchFileQuerySet(models.QuerySet["BatchFile"]):
    def in_state(self, state: str) -> Self:
        """Return the files whose own analysis is in that state; duplicates have no own analysis."""
        return self.filter(outcome=FileOutcome.ACCEPTED, analysis__state=state)

    def retryable(self, codes: Collection[str]) -> Self:
        """Return the files whose analysis failed with one of these error codes."""
        return self.in_state(State.FAILED).filter(analysis__error_code__in=codes)

    def without_result(self, clips: Collection[Clip], checkpoint: str) -> Self:
        """Return the rows of the clips that need a new analysis by this checkpoint.

        Their analysis failed or was cancelled, and their batch uses the default or this checkpoint.

        Parameters
        ----------
        checkpoint : str
            Identity, or "" for the default.
        """
        ended = Analysis.objects.filter(clip__in=clips, state__in=(State.FAILED, State.CANCELLED))
        default = inventory.find("")
        meant = checkpoint or (default.identity if default else "")
        return self.filter(analysis__in=ended.values("pk"), batch__checkpoint__in=("", meant))

    def in_folder(self, folder: str) -> Self:
        """Return the files in a folder and in the folders inside it; "" means all files."""
        if not folder:
            return self
        # Compared exactly: LIKE ignores case in SQLite, and a range depends on the collation.
        start = f"{folder}/"
        rows = self.alias(start=Left("folder", len(start)))
        return rows.filter(Q(folder=folder) | Q(start=start))

    def for_page(self, show: str = "", folder: str = "") -> Self:
        """Return the rows of the batch page by path, without the large columns.

        Parameters
        ----------
        show : str
            A State or a FileOutcome; anything else shows all rows.
        folder : str
            Only the files in this folder, see `in_folder`.
        """
        heavy = ("analysis__predictions", "analysis__render_metadata", "analysis__embedding")
        rows = self.in_folder(folder).select_related("analysis__clip__judgement")
        rows = rows.defer(*heavy).order_by("path")
        if show in State.values:
            return rows.in_state(show)
        return rows.filter(outcome=show) if show in FileOutcome.values else rows

    def with_problems(self) -> Self:
        failed = Q(outcome=FileOutcome.ACCEPTED, analysis__state=State.FAILED)
        return self.for_page().filter(Q(outcome=FileOutcome.REFUSED) | failed)

    def for_export(self) -> Self:
        heavy = ("analysis__render_metadata", "analysis__embedding", "analysis__timings")
        rows = self.select_related("analysis__clip__judgement__user")
        rows = rows.prefetch_related("analysis__clip__tags")
        return rows.defer(*heavy).order_by("path")


class BatchFile(models.Model):
    """A path of a batch and its outcome. A duplicate links to the earlier analysis."""

    batch = models.ForeignKey(Batch, models.CASCADE, related_name="files")
    path = models.CharField(max_length=1000, help_text="Path in the folder; used only as a label.")
    folder = models.CharField(
        max_length=1000, blank=True, help_text="The folder of the path; empty if it has none."
    )
    outcome = models.CharField(max_length=9, choices=FileOutcome.choices)
    # The row is deleted with its analysis: deleted clips are no longer in the batch.
    analysis = models.ForeignKey(Analysis, models.CASCADE, null=True, related_name="batch_files")
    code = models.CharField(max_length=40, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    hint = models.CharField(max_length=300, blank=True)

    objects = BatchFileQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "path"], name="one_row_per_path_of_a_batch")
        ]
        indexes = [
            models.Index(fields=["outcome", "-id"], name="batch_file_by_outcome"),
            models.Index(fields=["batch", "folder"], name="batch_file_by_folder"),
            # Two ways to count the files of a batch, see `batches.totals_of`.
            models.Index(fields=["batch", "outcome"], name="batch_file_totals"),
            models.Index(fields=["analysis", "outcome", "batch"], name="batch_file_states"),
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def stage(self) -> str:
        """A string that changes whenever a page would show the file differently."""
        return self.analysis.stage if self.analysis else self.outcome

    @property
    def error(self) -> Problem | None:
        if self.outcome == FileOutcome.REFUSED:
            return Problem(self.code, self.detail, self.hint)
        return self.analysis.error if self.analysis else None
