"""Inspections: details of an analysis, made on request and kept for a limited time."""

from datetime import timedelta
from pathlib import Path
from typing import Self

from django.db import models, transaction
from django.utils import timezone

from classifier import storage
from classifier.checkpoints.class_names import display_name
from classifier.models.analyses import Analysis
from classifier.models.clips import Owner
from classifier.models.leasing import LeasedJob, LeasedJobQuerySet, State


class InspectionKind(models.TextChoices):
    """What an inspection looks at: one window, all events, or one tile of the spectrogram."""

    EXPLANATION = "explanation", "the explanation of a class"
    REFINED = "refined", "the refined explanation of a class"
    CHANNELS = "channels", "all channels of a feature map"
    WINDOW = "window", "another window"
    SOUNDS = "sounds", "the sounds of the events"
    TILE = "tile", "a tile of the spectrogram"


# The kinds that explain a class; they have the same figures and files.
EXPLANATIONS = (InspectionKind.EXPLANATION, InspectionKind.REFINED)


class InspectionQuerySet(LeasedJobQuerySet["Inspection"]):
    def for_owner(self, user: Owner) -> Self:
        """Return a user's inspections with their clips, without the analyses' large columns."""
        heavy = (f"analysis__{name}" for name in ("predictions", "render_metadata", "embedding"))
        rows = self.filter(analysis__owner=user.pk).select_related("analysis__clip")
        return rows.defer(*heavy)

    def unused(self, days: int) -> Self:
        """Return the inspections not requested for `days` days, except running and shared ones.

        Viewers of a share link cannot request again what its page shows.
        """
        before = timezone.now() - timedelta(days=days)
        return self.filter(used_at__lt=before, analysis__shares=None).exclude(state=State.RUNNING)

    def claim(self) -> "Inspection | None":
        """Take the next single inspection: QUEUED → RUNNING, with a lease and a new token."""
        rows = self.waiting().select_for_update(skip_locked=True, of=("self",))
        with transaction.atomic():
            inspection = rows.select_related("analysis__clip__owner").first()
            if inspection:
                self.take([inspection])
        return inspection

    def queue_again(self) -> int:
        """Move finished inspections to QUEUED, with no attempts counted, and return how many.

        The sweep removes the files of earlier results.
        """
        errors = dict.fromkeys(("error_code", "error_detail", "error_hint"), "")
        return self.filter(state__in=(State.DONE, State.FAILED)).update(
            state=State.QUEUED,
            attempts=0,
            created_at=timezone.now(),
            finished_at=None,
            figures={},
            **errors,
        )


class Inspection(LeasedJob):
    """Details of a finished analysis, kept for later requests.

    QUEUED → RUNNING (claim) → DONE (save) | FAILED (fail).
    RUNNING → QUEUED when a lease expires or a worker gives up. After three attempts, where the
    worker's crash was observed, or after ten in any case, RUNNING → FAILED.
    FAILED → QUEUED when it is requested again, and DONE → QUEUED if it is an explanation and the
    checkpoint's mask decoder has changed. Never CANCELLED.
    """

    analysis = models.ForeignKey(Analysis, models.CASCADE, related_name="inspections")
    kind = models.CharField(max_length=11, choices=InspectionKind.choices)
    window = models.PositiveIntegerField(help_text="Number of the window or tile, from 0.")
    label = models.CharField(max_length=80, blank=True, help_text="The inspected class.")
    map = models.CharField(
        max_length=40,
        blank=True,
        help_text="The map whose channels are shown, or the level of the tile.",
    )
    figures = models.JSONField(default=dict, help_text="The results, as plain values.")
    used_at = models.DateTimeField(default=timezone.now, help_text="When it was last requested.")

    objects = InspectionQuerySet.as_manager()
    called = "This inspection"
    after_crashes = "Request the inspection again. The analysis itself is not affected."

    class Meta:
        verbose_name_plural = "inspections"
        indexes = [
            *LeasedJob.Meta.indexes,
            models.Index(fields=["state", "created_at"], name="inspection_queue"),
            models.Index(fields=["used_at"], name="inspection_used"),
            # The admin's list; the index of the queue covers the filter by state.
            models.Index(fields=["-created_at", "-id"], name="inspection_newest"),
            models.Index(fields=["kind", "-created_at", "-id"], name="inspection_all_kind"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["analysis", "kind", "window", "label", "map"],
                name="one_inspection_of_a_kind",
            )
        ]

    def __str__(self) -> str:
        what = display_name(self.label) if self.label else self.map or self.window
        return f"{self.kind} of {what} · {self.id}"

    @property
    def folder(self) -> Path:
        return storage.inspection_folder(self.pk, self.token)
