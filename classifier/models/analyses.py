"""Analyses and their queue."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.conf import settings
from django.db import models, transaction
from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from classifier import storage
from classifier.checkpoints import inventory
from classifier.checkpoints.class_names import display_name
from classifier.models.clips import Clip, Owner, beside
from classifier.models.leasing import UNFINISHED, LeasedJob, LeasedJobQuerySet, State
from ml.render_metadata import EarlyPictures, RenderMetadata

if TYPE_CHECKING:
    from classifier.models.batches import Batch


class Lane(models.IntegerChoices):
    """The queue an analysis waits in. Lower numbers always go first."""

    INTERACTIVE = 0, "interactive"
    BULK = 1, "bulk"


class Step(models.TextChoices):
    """The current step of a running analysis."""

    NONE = "", ""
    DECODING = "decoding", "decoding the file"
    CLASSIFYING = "classifying", "classifying"
    RENDERING = "rendering", "rendering the maps"
    SAVING = "saving", "saving"


STEPS = (Step.DECODING, Step.CLASSIFYING, Step.RENDERING, Step.SAVING)


# Single clips in one claim: nothing interrupts it, so others must not wait long.
MAX_SINGLE_CLIPS = 16


class AnalysisQuerySet(LeasedJobQuerySet["Analysis"]):
    released_columns: ClassVar[dict[str, Any]] = {
        "leased_until": None,
        "step": Step.NONE,
        "early_pictures": {},
    }
    interrupted_columns: ClassVar[dict[str, Any]] = {"alone": True}

    def for_owner(self, user: Owner, batch: "Batch | None" = None) -> Self:
        """Return a user's analyses with their clips, newest first.

        With `batch`, return only the analyses of that batch, each once.
        """
        mine = self.filter(owner=user.pk)
        if batch:
            mine = self.filter(beside(owner=user.pk), pk__in=batch.files.values("analysis"))
        return mine.select_related("clip").order_by("-created_at", "-id")

    def for_history(
        self, user: Owner, *, name: str = "", batch: "Batch | None" = None, **columns: str
    ) -> Self:
        """Return the rows of the history page, without the large columns.

        Parameters
        ----------
        name : str
            Part of the clip's name; "" for any.
        **columns : str
            Values of label and state; "" for any.
        """
        rows = self.for_owner(user, batch).defer("predictions", "render_metadata", "embedding")
        if name:
            # Not by a join: an index holds all names together, the clips are scattered.
            rows = rows.filter(clip__in=Clip.objects.filter(owner=user.pk, name__icontains=name))
        asked = {column: value for column, value in columns.items() if value}
        return rows.filter(beside(**asked) if batch else Q(**asked))

    def for_list(self, user: Owner, batch: "Batch | None" = None) -> Self:
        """Return the rows of a list of the API, without the large columns."""
        heavy = ("predictions", "render_metadata", "embedding", "timings")
        return self.for_owner(user, batch).defer(*heavy)

    def checkpoints_of(self, user: Owner) -> models.QuerySet[Any, Any]:
        """Return the checkpoints of a user's analyses, the last used first.

        Each row has checkpoint, analyses (their number), first_used_at and last_used_at.
        """
        return (
            self.filter(owner=user.pk)
            .exclude(checkpoint="")
            .values("checkpoint")
            .annotate(analyses=Count("id"))
            .annotate(first_used_at=Min("created_at"), last_used_at=Max("created_at"))
            .order_by("-last_used_at", "checkpoint")
        )

    def answering(self, checkpoint: str) -> Self:
        """Return the analyses that answer a request for this checkpoint.

        An analysis that names no checkpoint belongs to the default. For a request that names none,
        an analysis by a checkpoint that is no longer installed counts as the default's; one by
        another installed checkpoint does not.

        Parameters
        ----------
        checkpoint : str
            Identity; "" if the request names none.
        """
        others = [one.identity for one in inventory.installed() if not one.default]
        if not checkpoint:
            return self.exclude(checkpoint__in=others)
        if checkpoint in others:
            return self.filter(checkpoint=checkpoint)
        return self.filter(checkpoint__in=("", checkpoint))

    def known(self, user: Owner, sha256: str, checkpoint: str) -> "Analysis | None":
        """Return a finished or unfinished analysis of the same bytes of this user, if there is one.

        A finished analysis is preferred to an unfinished one, then the newest. The row is locked
        until the transaction ends, so that it cannot be deleted before the request is answered.

        Parameters
        ----------
        sha256 : str
            Hex digest of the bytes.
        checkpoint : str
            Identity; "" if the request names none.
        """
        # Most bytes are new, and this is answered from an index.
        if not Clip.objects.filter(owner=user.pk, sha256=sha256).exists():
            return None
        rows = self.for_owner(user).filter(clip__sha256=sha256, clip__owner=user.pk)
        rows = rows.answering(checkpoint).filter(state__in=(State.DONE, *UNFINISHED))
        # "done" sorts before the others.
        return rows.select_for_update(of=("self",)).order_by("state", "-created_at").first()

    def cancel(self) -> int:
        """Move queued analyses to CANCELLED and return how many; running ones continue."""
        return self.filter(state=State.QUEUED).finish(State.CANCELLED)

    def labels_of(self, user: Owner) -> list[str]:
        """Return every label that occurs in this user's analyses, sorted."""
        rows = self.filter(owner=user.pk).exclude(label="").order_by("label")
        return list(rows.values_list("label", flat=True).distinct())

    def waiting(self) -> Self:
        """Return the queued analyses by lane, then by age."""
        return super().waiting().order_by("lane", "created_at")

    # --- the queue ------------------------------------------------------------------------

    def claim(self, limit: int, max_bytes: int) -> list["Analysis"]:
        """Take the next chunk: QUEUED → RUNNING, with one lease and one new token.

        All rows of a chunk are from one lane, so that single clips never wait for bulk work, and
        use one checkpoint. A row that was interrupted before is claimed alone, so that a clip that
        crashes its worker affects no other.

        Parameters
        ----------
        limit : int
            At most this many rows; of the interactive lane, at most MAX_SINGLE_CLIPS.
        max_bytes : int
            At most this many bytes of files; a larger first row is taken alone.

        Returns
        -------
        list of Analysis
            The claimed rows; empty if nothing is queued.
        """
        with transaction.atomic():
            chunk = _first_chunk(self._next(limit), max_bytes)
            if chunk:
                self.take(chunk, step=Step.DECODING, started_at=timezone.now())
        return chunk

    def set_step(self, step: Step) -> None:
        """Set the step of these running rows."""
        with transaction.atomic():
            # In the order of every transaction that locks several rows, so that none deadlocks.
            keys = list(self.order_by("pk").select_for_update().values_list("pk", flat=True))
            Analysis.objects.filter(pk__in=keys).update(step=step)

    def _next(self, limit: int) -> Sequence["Analysis"]:
        """Return the first rows of the first lane that has any, locked.

        A row with attempts waits until the lane has no fresh rows, and longer the more attempts it
        has: it delays no other row, and workers that crash one after the other crash on different
        clips.
        """
        rows = self.waiting().select_for_update(skip_locked=True, of=("self",))
        rows = rows.select_related("clip")
        for lane in Lane:
            # In two steps: an index finds the fresh rows, and the others are few.
            fresh = rows.filter(lane=lane, attempts=0)
            tried = rows.filter(lane=lane, attempts__gt=0).order_by("attempts", "created_at")
            most = min(limit, MAX_SINGLE_CLIPS) if lane == Lane.INTERACTIVE else limit
            if found := list(fresh[:most]) or list(tried[:most]):
                return found
        return []


def _first_chunk(rows: Sequence["Analysis"], max_bytes: int) -> list["Analysis"]:
    if not rows or rows[0].alone:
        return list(rows[:1])
    chunk: list[Analysis] = []
    size_bytes = 0
    for row in rows:
        if row.checkpoint != rows[0].checkpoint:
            continue  # it is taken with a later chunk
        size_bytes += row.clip.size_bytes
        if row.alone or (chunk and size_bytes > max_bytes):
            break
        chunk.append(row)
    return chunk


class Analysis(LeasedJob):
    """One run of one checkpoint on one clip.

    QUEUED → RUNNING (claim) → DONE (save_analyses) | FAILED (fail).
    RUNNING → QUEUED when a lease expires or a worker gives up. An attempt counts only if the
    analysis ran alone. After three attempts, where the worker's crash was observed, or after ten in
    any case, RUNNING → FAILED.
    QUEUED → CANCELLED.
    """

    clip = models.ForeignKey(Clip, models.CASCADE, related_name="analyses")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="analyses")
    lane = models.PositiveSmallIntegerField(choices=Lane.choices, default=Lane.INTERACTIVE)
    step = models.CharField(max_length=11, choices=Step.choices, default=Step.NONE, blank=True)
    started_at = models.DateTimeField(null=True)
    alone = models.BooleanField(
        default=False, help_text="Retried alone, without other clips, after a crash."
    )

    checkpoint = models.CharField(
        max_length=120,
        blank=True,
        help_text="name@sha256; empty means the default until the analysis is done.",
    )
    label = models.CharField(max_length=80, blank=True)
    confidence = models.FloatField(null=True)
    second_label = models.CharField(max_length=80, blank=True)
    not_sure = models.BooleanField(
        default=False, help_text="The sound is probably none of the checkpoint's classes."
    )
    event_count = models.PositiveIntegerField(
        null=True, help_text="How many events it has; empty until the analysis is done."
    )
    predictions = models.JSONField(default=list, help_text="All classes, most probable first.")
    render_metadata = models.JSONField(
        default=dict, help_text="Axes and ranges of the images; empty until the analysis is done."
    )
    early_pictures = models.JSONField(
        default=dict,
        blank=True,
        help_text="Axes of the pictures that were stored before the classification; empty unless "
        "the analysis is running.",
    )
    embedding = models.BinaryField(
        default=b"",
        help_text="The mean of the windows' embeddings: 512 little-endian float16 numbers; empty "
        "until the analysis is done.",
    )
    timings = models.JSONField(default=dict, help_text="Seconds spent in each step.")

    objects = AnalysisQuerySet.as_manager()
    called = "The analysis"
    after_crashes = (
        "Analyse the clip again. If that fails, save the sound as 16-bit WAV and upload that."
    )

    class Meta:
        verbose_name_plural = "analyses"
        indexes = [
            *LeasedJob.Meta.indexes,
            # With the clip, so that those of certain clips are counted without reading the others.
            models.Index(fields=["owner", "-created_at", "-id", "clip"], name="analysis_of_owner"),
            # Up to the last column of the order: otherwise SQLite scans the whole history.
            *(
                models.Index(
                    fields=["owner", what, "-created_at", "-id"], name=f"analysis_by_{what}"
                )
                for what in ("label", "state", "checkpoint")
            ),
            # Not partial: SQLite does not match `state = ?` with the condition of an index.
            models.Index(fields=["state", "lane", "created_at"], name="analysis_queue"),
            models.Index(fields=["-created_at", "-id"], name="analysis_newest"),
            # The admin's lists, which are not limited to one owner.
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
        return f"{display_name(self.label) if self.label else self.state} · {self.id}"

    @property
    def folder(self) -> Path:
        return storage.analysis_folder(self.pk, self.token)

    @property
    def stage(self) -> str:
        """A string that changes whenever a page would show the analysis differently."""
        return f"{self.state}.{self.step}"

    @property
    def metadata(self) -> RenderMetadata | None:
        """`render_metadata`, parsed; None until the analysis is done."""
        return RenderMetadata.from_json(self.render_metadata) if self.render_metadata else None

    @property
    def early(self) -> EarlyPictures | None:
        """`early_pictures`, parsed; None if there are none, or the final ones."""
        return EarlyPictures.from_json(self.early_pictures) if self.early_pictures else None

    @property
    def steps(self) -> list[tuple[str, str]]:
        """The label of each step, with "past", "now", or "" if it is still to come."""
        current = STEPS.index(Step(self.step)) if self.state == State.RUNNING else -1
        return [
            (step.label, "past" if place < current else "now" if place == current else "")
            for place, step in enumerate(STEPS)
        ]

    @property
    def progress(self) -> float:
        """Share of the steps that are finished, 0 to 1."""
        if self.state == State.RUNNING:
            return STEPS.index(Step(self.step)) / len(STEPS)
        return 0.0 if self.state == State.QUEUED else 1.0
