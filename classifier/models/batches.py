"""Batches, and what became of their files."""

import uuid
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from classifier.checkpoints import inventory
from classifier.models.analyses import Analysis, State
from classifier.models.clips import Clip, Owner
from ml.errors import Problem


class BatchState(models.TextChoices):
    """Where a batch is; how its files are heard, their analyses tell."""

    OPEN = "open", "open"
    CLOSED = "closed", "closed"
    CANCELLED = "cancelled", "cancelled"


class BatchQuerySet(models.QuerySet["Batch"]):
    def for_owner(self, user: Owner) -> Self:
        return self.filter(owner=user.pk).order_by("-created_at", "-id")


class Batch(models.Model):
    """Many clips submitted together. Open until it is closed or cancelled; then nothing comes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="batches")
    name = models.CharField(max_length=255)
    source = models.CharField(max_length=1000, blank=True, help_text="Of `submit_folder`: DIR.")
    checkpoint = models.CharField(
        max_length=120,
        blank=True,
        help_text="name@sha256 of what hears its files; empty: the default.",
    )
    created_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)

    objects = BatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "batches"
        indexes = [
            models.Index(fields=["owner", "-created_at", "-id"], name="batch_newest"),
            models.Index(fields=["-created_at", "-id"], name="batch_by_age"),
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
    """What became of a file when it was sent; how it is heard, its analysis tells."""

    ACCEPTED = "accepted", "accepted"
    REFUSED = "refused", "refused"
    DUPLICATE = "duplicate", "duplicate"


class BatchFileQuerySet(models.QuerySet["BatchFile"]):
    def in_state(self, state: str) -> Self:
        """The batch's own analyses in that state; a duplicate's belongs to where it came from."""
        return self.filter(outcome=FileOutcome.ACCEPTED, analysis__state=state)

    def unheard(self, clip: Clip, checkpoint: str) -> Self:
        """Rows of the clip whose analysis ended without an answer, and that take this one's."""
        ended = clip.analyses.filter(state__in=(State.FAILED, State.CANCELLED))
        default = inventory.find("")
        meant = checkpoint or (default.identity if default else "")
        return self.filter(analysis__in=ended.values("pk"), batch__checkpoint__in=("", meant))

    def for_page(self, show: str = "") -> Self:
        """Rows of the batch page by path, without the heavy columns."""
        heavy = ("analysis__predictions", "analysis__render_metadata")
        rows = self.select_related("analysis__clip").defer(*heavy).order_by("path")
        if show in State.values:
            return rows.in_state(show)
        return rows.filter(outcome=show) if show in FileOutcome.values else rows

    def with_problems(self) -> Self:
        failed = Q(outcome=FileOutcome.ACCEPTED, analysis__state=State.FAILED)
        return self.for_page().filter(Q(outcome=FileOutcome.REFUSED) | failed)

    def for_export(self) -> Self:
        heavy = ("analysis__render_metadata", "analysis__timings")
        return self.select_related("analysis__clip").defer(*heavy).order_by("path")


class BatchFile(models.Model):
    """One path of a batch and what became of it. A duplicate links the earlier analysis."""

    batch = models.ForeignKey(Batch, models.CASCADE, related_name="files")
    path = models.CharField(max_length=1000, help_text="In its folder; only a label.")
    outcome = models.CharField(max_length=9, choices=FileOutcome.choices)
    # With its analysis goes the row: what was deleted is no longer in the batch.
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
            # Two ways to count the files of a batch, see `batches.totals_of`.
            models.Index(fields=["batch", "outcome"], name="batch_file_totals"),
            models.Index(fields=["analysis", "outcome", "batch"], name="batch_file_states"),
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def stage(self) -> str:
        """Changes whenever a page would show it otherwise."""
        return self.analysis.stage if self.analysis else self.outcome

    @property
    def error(self) -> Problem | None:
        if self.outcome == FileOutcome.REFUSED:
            return Problem(self.code, self.detail, self.hint)
        return self.analysis.error if self.analysis else None
