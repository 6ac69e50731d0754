"""Analyses, and the queue that they are."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models, transaction
from django.db.models import Count, F, Max, Min, Q
from django.utils import timezone

from classifier.checkpoints import inventory
from classifier.models.clips import Clip, beside
from ml.render_metadata import RenderMetadata

if TYPE_CHECKING:
    from classifier.models.batches import Batch

MAX_ATTEMPTS = 3
# When a whole worker is gone, nobody saw what it died of: killed from outside, most likely.
MAX_UNSEEN = 10


class Lane(models.IntegerChoices):
    """Which queue an analysis waits in. Lower numbers go first, always."""

    INTERACTIVE = 0, "interactive"
    BULK = 1, "bulk"


class State(models.TextChoices):
    QUEUED = "queued", "waiting"
    RUNNING = "running", "analysing"
    DONE = "done", "done"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


UNFINISHED = (State.QUEUED, State.RUNNING)


class Step(models.TextChoices):
    """Where a running analysis is."""

    NONE = "", ""
    DECODING = "decoding", "decoding the file"
    CLASSIFYING = "classifying", "classifying"
    RENDERING = "rendering", "rendering the maps"
    SAVING = "saving", "saving"


STEPS = (Step.DECODING, Step.CLASSIFYING, Step.RENDERING, Step.SAVING)


def lease_is_over() -> Q:
    """Also of one that no clock of now can have given: it was set back since."""
    now = timezone.now()
    return Q(leased_until__lt=now) | Q(
        leased_until__gt=now + 2 * timedelta(seconds=settings.LEASE_S)
    )


class AnalysisQuerySet(models.QuerySet["Analysis"]):
    def for_owner(self, user, batch: "Batch | None" = None) -> Self:
        """One user's analyses with their clips, newest first; or of one batch, once each."""
        if batch is None:
            mine = self.filter(owner=user)
        else:
            mine = self.filter(beside(owner=user.pk), pk__in=batch.files.values("analysis"))
        return mine.select_related("clip").order_by("-created_at", "-id")

    def for_history(
        self,
        user,
        *,
        name: str = "",
        label: str = "",
        state: str = "",
        batch: "Batch | None" = None,
    ) -> Self:
        """Rows of the history page, without the heavy columns."""
        rows = self.for_owner(user, batch).defer("predictions", "render_metadata")
        if name:
            # Not by a join: the names lie side by side in an index, the clips do not.
            rows = rows.filter(clip__in=Clip.objects.filter(owner=user, name__icontains=name))
        asked = {name: value for name, value in (("label", label), ("state", state)) if value}
        return rows.filter(beside(**asked) if batch else Q(**asked))

    def for_list(self, user, batch: "Batch | None" = None) -> Self:
        """Rows of a list of the API: everything but what is heavy."""
        return self.for_owner(user, batch).defer("predictions", "render_metadata", "timings")

    def checkpoints_of(self, user) -> models.QuerySet[Any, dict[str, Any]]:
        """{checkpoint, analyses, first_used_at, last_used_at} of each that heard something."""
        return (
            self.filter(owner=user)
            .exclude(checkpoint="")
            .values("checkpoint")
            .annotate(
                analyses=Count("id"),
                first_used_at=Min("created_at"),
                last_used_at=Max("created_at"),
            )
            .order_by("-last_used_at", "checkpoint")
        )

    def answering(self, checkpoint: str) -> Self:
        """Those that are an answer to whoever asks for this checkpoint, an identity or "".

        A row that names none is the default's. To whoever names none, a checkpoint that is no
        longer installed has spoken for the default, but another installed one has not.
        """
        others = [one.identity for one in inventory.installed() if not one.default]
        if not checkpoint:
            return self.exclude(checkpoint__in=others)
        if checkpoint in others:
            return self.filter(checkpoint=checkpoint)
        return self.filter(checkpoint__in=("", checkpoint))

    def known(self, user, sha256: str, checkpoint: str) -> "Analysis | None":
        """What this user's same bytes were heard as before, or are being heard as now.

        Locked until the transaction ends, so that nobody deletes it before it is answered.
        """
        rows = self.for_owner(user).filter(clip__sha256=sha256, clip__owner=user)
        rows = rows.answering(checkpoint)
        rows = rows.select_for_update(of=("self",))
        return rows.filter(state__in=(State.DONE, *UNFINISHED)).first()

    def cancel(self) -> int:
        """QUEUED → CANCELLED. Returns how many; whatever a worker has taken stays."""
        return self.filter(state=State.QUEUED).update(
            state=State.CANCELLED, finished_at=timezone.now()
        )

    def labels_of(self, user) -> list[str]:
        """Every label this user has been given."""
        rows = self.filter(owner=user).exclude(label="").order_by("label")
        return list(rows.values_list("label", flat=True).distinct())

    def waiting(self) -> Self:
        """In the order in which they came, lane by lane."""
        return self.filter(state=State.QUEUED).order_by("lane", "created_at")

    # --- the queue ------------------------------------------------------------------------

    def claim(self, most: int, most_bytes: int) -> list["Analysis"]:
        """Take the next chunk: QUEUED → RUNNING, with one lease and one fresh token.

        Rows of one lane only, so that nobody's single clip waits for bulk work, and of one
        checkpoint; at most `most` rows and about `most_bytes` of files. A row that was interrupted
        before goes alone, so that a poisonous clip takes no other with it.
        """
        with transaction.atomic():
            chunk = _first_chunk(self._next(most), most_bytes)
            if not chunk:
                return []
            token, now = uuid.uuid4().hex, timezone.now()
            taken = {
                "state": State.RUNNING,
                "step": Step.DECODING,
                "token": token,
                "leased_until": now + timedelta(seconds=settings.LEASE_S),
                "started_at": now,
            }
            # Only alone can a clip be blamed for what happens to its worker.
            blamed = int(len(chunk) == 1)
            self.filter(pk__in=[row.pk for row in chunk]).update(
                **taken, attempts=F("attempts") + blamed
            )
        for row in chunk:
            for name, value in taken.items():
                setattr(row, name, value)
            row.attempts += blamed
        return chunk

    def _next(self, most: int) -> Sequence["Analysis"]:
        """The first rows of the first lane that has any, locked.

        One that was interrupted alone lets the others of its lane go first, the more often the
        more: it holds up nobody, and workers that die one after the other die on different clips.
        """
        rows = self.waiting().select_for_update(skip_locked=True, of=("self",))
        rows = rows.select_related("clip")
        for lane in Lane:
            # In two steps, the first by an index; the others are few.
            fresh = rows.filter(lane=lane, attempts=0)
            tried = rows.filter(lane=lane, attempts__gt=0).order_by("attempts", "created_at")
            if found := list(fresh[:most]) or list(tried[:most]):
                return found
        return []

    def held(self, token: str) -> Self:
        """The rows that a worker with this token still owns."""
        return self.filter(token=token, state=State.RUNNING)

    def renew(self, token: str) -> int:
        """Prolong the lease of a chunk. Returns how many rows are still held."""
        until = timezone.now() + timedelta(seconds=settings.LEASE_S)
        return self.held(token).update(leased_until=until)

    def stop(self, code: str, detail: str, hint: str) -> int:
        """Unfinished rows → FAILED, whatever a worker still finds out about them."""
        return self.filter(state__in=UNFINISHED).update(
            state=State.FAILED,
            step=Step.NONE,
            leased_until=None,
            finished_at=timezone.now(),
            error_code=code,
            error_detail=detail,
            error_hint=hint,
        )

    def give_back(
        self,
        code: str = "crashed",
        detail: str = "The analysis was interrupted {} times and given up.",
        hint: str = "Try once more; if it fails again, save the sound as 16-bit WAV first.",
        *,
        most: int = MAX_ATTEMPTS,
    ) -> int:
        """RUNNING → QUEUED for these rows; one that has had its `most` attempts fails instead, and
        says so in these words."""
        rows = self.filter(state=State.RUNNING)
        ended = rows.filter(attempts__gte=most).stop(code, detail.format(most), hint)
        freed = rows.filter(attempts__lt=most).update(
            state=State.QUEUED, step=Step.NONE, leased_until=None, alone=True
        )
        return ended + freed

    def put_back(self, chunk: Sequence["Analysis"]) -> int:
        """RUNNING → QUEUED for these rows of a claimed chunk, as if it had not been claimed."""
        return self.filter(state=State.RUNNING).update(
            state=State.QUEUED,
            step=Step.NONE,
            leased_until=None,
            attempts=F("attempts") - int(len(chunk) == 1),
        )

    def expired(self) -> Self:
        return self.filter(lease_is_over(), state=State.RUNNING)


def _first_chunk(rows: Sequence["Analysis"], most_bytes: int) -> list["Analysis"]:
    if not rows:
        return []
    first = rows[0]
    if first.alone:
        return [first]
    chunk: list[Analysis] = []
    size_bytes = 0
    for row in rows:
        if row.checkpoint != first.checkpoint:
            continue  # its turn comes with the next chunk
        size_bytes += row.clip.size_bytes
        if row.alone or (chunk and size_bytes > most_bytes):
            break
        chunk.append(row)
    return chunk


class Analysis(models.Model):
    """One run of one checkpoint on one clip.

    QUEUED → RUNNING (claim) → DONE (save_result) | FAILED (save_failure).
    RUNNING → QUEUED when a lease runs out or a worker gives up; alone, the third time that it was
    seen to → FAILED, and the tenth in any case.
    QUEUED → CANCELLED.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clip = models.ForeignKey(Clip, models.CASCADE, related_name="analyses")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="analyses")
    lane = models.PositiveSmallIntegerField(choices=Lane.choices, default=Lane.INTERACTIVE)
    state = models.CharField(max_length=9, choices=State.choices, default=State.QUEUED)
    step = models.CharField(max_length=11, choices=Step.choices, default=Step.NONE, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    token = models.CharField(max_length=32, blank=True, help_text="Of the claim that holds it.")
    leased_until = models.DateTimeField(null=True)
    alone = models.BooleanField(default=False, help_text="Interrupted before: shares no chunk.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Claims without company.")

    checkpoint = models.CharField(
        max_length=120,
        blank=True,
        help_text="name@sha256 of what heard it, or is to; empty: the default, until it is heard.",
    )
    label = models.CharField(max_length=80, blank=True)
    confidence = models.FloatField(null=True)
    predictions = models.JSONField(default=list, help_text="All classes, the best first.")
    render_metadata = models.JSONField(
        default=dict, help_text="Axes and ranges of its pictures; empty until it is done."
    )
    timings = models.JSONField(default=dict, help_text="Seconds spent in each step.")

    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.CharField(max_length=300, blank=True)
    error_hint = models.CharField(max_length=300, blank=True)

    objects = AnalysisQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "analyses"
        indexes = [
            # With the clip, so that those of certain clips are counted without reading the others.
            models.Index(fields=["owner", "-created_at", "-id", "clip"], name="analysis_of_owner"),
            # To the last column of the order, or SQLite would rather walk through the history.
            *(
                models.Index(
                    fields=["owner", what, "-created_at", "-id"], name=f"analysis_by_{what}"
                )
                for what in ("label", "state", "checkpoint")
            ),
            # Not partial: SQLite would not see that `state = ?` falls under its condition.
            models.Index(fields=["state", "lane", "created_at"], name="analysis_queue"),
            models.Index(fields=["state", "leased_until"], name="analysis_leases"),
            models.Index(fields=["token"], name="analysis_token"),
            models.Index(fields=["-created_at", "-id"], name="analysis_newest"),
            # The admin's lists, which are nobody's in particular.
            *(
                models.Index(fields=[what, "-created_at", "-id"], name=f"analysis_all_{what}")
                for what in ("label", "state", "checkpoint", "confidence")
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["clip", "checkpoint"],
                condition=Q(state__in=("queued", "running")),
                name="one_active_per_clip_and_checkpoint",
            )
        ]

    def __str__(self) -> str:
        return f"{self.label or self.state} · {self.id}"

    @property
    def unfinished(self) -> bool:
        return self.state in UNFINISHED

    @property
    def stage(self) -> str:
        """Changes whenever a page would show it otherwise."""
        return f"{self.state}.{self.step}"

    @property
    def metadata(self) -> RenderMetadata | None:
        """`render_metadata`, parsed; None until it is done."""
        return RenderMetadata.from_json(self.render_metadata) if self.render_metadata else None

    @property
    def progress(self) -> float:
        """Share of the steps behind it, 0 to 1."""
        if self.state == State.RUNNING:
            return STEPS.index(Step(self.step)) / len(STEPS)
        return 0.0 if self.state == State.QUEUED else 1.0

    @property
    def error(self) -> dict[str, str] | None:
        if self.state != State.FAILED:
            return None
        return {"code": self.error_code, "detail": self.error_detail, "hint": self.error_hint}
