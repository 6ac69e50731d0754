"""Inspections: an inspection at one analysis, taken when somebody asks, and kept for a while."""

import uuid
from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from classifier.models.analyses import MAX_ATTEMPTS, Analysis, lease_is_over


class InspectionKind(models.TextChoices):
    """What is looked at, always of one window."""

    SOUND = "sound", "the sound behind a label"
    CHANNELS = "channels", "all channels of a map"
    WINDOW = "window", "another window"


class InspectionState(models.TextChoices):
    QUEUED = "queued", "waiting"
    RUNNING = "running", "looking"
    DONE = "done", "done"
    FAILED = "failed", "failed"


class InspectionQuerySet(models.QuerySet["Inspection"]):
    def for_owner(self, user) -> Self:
        return self.filter(analysis__owner=user).select_related("analysis__clip")

    def waiting(self) -> Self:
        """In the order in which they are to be made."""
        return self.filter(state=InspectionState.QUEUED).order_by("created_at")

    def unused(self, days: int) -> Self:
        """Nobody asked for them for so long; what is being made is left alone."""
        before = timezone.now() - timedelta(days=days)
        return self.filter(used_at__lt=before).exclude(state=InspectionState.RUNNING)

    # --- the queue ------------------------------------------------------------------------

    def claim(self) -> "Inspection | None":
        """Take the next one, alone: QUEUED → RUNNING, with a lease and a fresh token."""
        with transaction.atomic():
            inspection = (
                self.waiting()
                .select_for_update(skip_locked=True, of=("self",))
                .select_related("analysis__clip")
                .first()
            )
            if inspection is None:
                return None
            taken = {
                "state": InspectionState.RUNNING,
                "token": uuid.uuid4().hex,
                "leased_until": timezone.now() + timedelta(seconds=settings.LEASE_S),
            }
            self.filter(pk=inspection.pk).update(**taken, attempts=F("attempts") + 1)
        for name, value in taken.items():
            setattr(inspection, name, value)
        inspection.attempts += 1
        return inspection

    def held(self, token: str) -> Self:
        """The one that a worker with this token still owns."""
        return self.filter(token=token, state=InspectionState.RUNNING)

    def renew(self, token: str) -> int:
        """Prolong the lease. Returns whether it is still held, as 0 or 1."""
        until = timezone.now() + timedelta(seconds=settings.LEASE_S)
        return self.held(token).update(leased_until=until)

    def finish(self, token: str, state: InspectionState, **values: Any) -> bool:
        """RUNNING → DONE or FAILED, if `token` still holds it. Returns whether it did."""
        return bool(
            self.held(token).update(
                state=state, leased_until=None, finished_at=timezone.now(), **values
            )
        )

    def queue_again(self) -> int:
        """FAILED → QUEUED, as if it had never been tried."""
        return self.filter(state=InspectionState.FAILED).update(
            state=InspectionState.QUEUED,
            attempts=0,
            created_at=timezone.now(),
            finished_at=None,
            error_code="",
            error_detail="",
            error_hint="",
        )

    def give_back(self, *, most: int = MAX_ATTEMPTS) -> int:
        """RUNNING → QUEUED for these rows; one that has had its `most` attempts fails instead."""
        rows = self.filter(state=InspectionState.RUNNING)
        ended = rows.filter(attempts__gte=most).update(
            state=InspectionState.FAILED,
            leased_until=None,
            finished_at=timezone.now(),
            error_code="crashed",
            error_detail=f"This inspection was interrupted {most} times and given up.",
            error_hint="Ask once more; the analysis itself is not touched by this.",
        )
        freed = rows.filter(attempts__lt=most).update(
            state=InspectionState.QUEUED, leased_until=None
        )
        return ended + freed

    def expired(self) -> Self:
        return self.filter(lease_is_over(), state=InspectionState.RUNNING)


class Inspection(models.Model):
    """An inspection at one window of a finished analysis, made once and kept for the next asking.

    QUEUED → RUNNING (claim) → DONE | FAILED (finish).
    RUNNING → QUEUED when a lease runs out or a worker gives up; the third time that it was
    seen to → FAILED, and the tenth in any case.
    FAILED → QUEUED when it is asked for again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    analysis = models.ForeignKey(Analysis, models.CASCADE, related_name="inspections")
    kind = models.CharField(max_length=8, choices=InspectionKind.choices)
    window = models.PositiveIntegerField(help_text="Its number, from 0.")
    label = models.CharField(max_length=80, blank=True, help_text="The class asked about.")
    map = models.CharField(max_length=40, blank=True, help_text="The map whose channels are shown.")

    state = models.CharField(
        max_length=7, choices=InspectionState.choices, default=InspectionState.QUEUED
    )
    token = models.CharField(max_length=32, blank=True, help_text="Of the claim that holds it.")
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    figures = models.JSONField(default=dict, help_text="What was found, in plain values.")
    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.CharField(max_length=300, blank=True)
    error_hint = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, help_text="When it was queued.")
    finished_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(default=timezone.now, help_text="When it was last asked for.")

    objects = InspectionQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "inspections"
        indexes = [
            models.Index(fields=["state", "created_at"], name="inspection_queue"),
            models.Index(fields=["state", "leased_until"], name="inspection_leases"),
            models.Index(fields=["token"], name="inspection_token"),
            models.Index(fields=["used_at"], name="inspection_used"),
            # The admin's list; by state the queue's own index finds it.
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
        return f"{self.kind} of {self.label or self.map or self.window} · {self.id}"

    @property
    def unfinished(self) -> bool:
        return self.state in (InspectionState.QUEUED, InspectionState.RUNNING)

    @property
    def error(self) -> dict[str, str] | None:
        if self.state != InspectionState.FAILED:
            return None
        return {"code": self.error_code, "detail": self.error_detail, "hint": self.error_hint}
