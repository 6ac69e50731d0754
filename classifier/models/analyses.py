"""Analyses and their queue."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from classifier import storage
from classifier.checkpoints.class_names import display_name
from classifier.models.analysis_lists import AnalysisLists
from classifier.models.clips import (
    MAX_FOLDER_CHARACTERS,
    MAX_NAME_CHARACTERS,
    VISITORS,
    Clip,
)
from classifier.models.judgements import Judgement, judgement_of
from classifier.models.leasing import LeasedJob, State
from ml.render_metadata import EarlyPictures, RenderMetadata


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


class AnalysisQuerySet(AnalysisLists):
    """The queue of analyses; lists of them are in `analysis_lists`."""

    released_columns: ClassVar[dict[str, Any]] = {
        "leased_until": None,
        "step": Step.NONE,
        "early_pictures": {},
    }
    interrupted_columns: ClassVar[dict[str, Any]] = {"alone": True}

    def cancel(self) -> int:
        """Move queued analyses to CANCELLED and return how many; running ones continue."""
        return self.filter(state=State.QUEUED).finish(State.CANCELLED)

    def waiting(self) -> Self:
        """Return the queued analyses by lane, then by age."""
        return super().waiting().order_by("lane", "created_at")

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

        Clips of visitors go after the other single clips, one at a time, so that a user's clip
        waits for at most one of them.

        A row with attempts waits until the lane has no fresh rows, and longer the more attempts it
        has: it delays no other row, and workers that crash one after the other crash on different
        clips.
        """
        rows = self.waiting().select_for_update(skip_locked=True, of=("self",))
        # With the owner, which decides how long a clip may be.
        rows = rows.select_related("clip__owner")
        single = rows.filter(lane=Lane.INTERACTIVE)
        of_visitors = Q(owner__username=VISITORS)
        for lane, most in (
            (single.exclude(of_visitors), min(limit, MAX_SINGLE_CLIPS)),
            (single.filter(of_visitors), 1),
            (rows.filter(lane=Lane.BULK), limit),
        ):
            # In two steps: an index finds the fresh rows, and the others are few.
            fresh = lane.filter(attempts=0)
            tried = lane.filter(attempts__gt=0).order_by("attempts", "created_at")
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
    # Copies of the clip's columns, so that one index answers the filters of the history.
    clip_folded_name = models.CharField(
        max_length=MAX_NAME_CHARACTERS, blank=True, help_text="In lower case, to be compared."
    )
    clip_folder = models.CharField(
        max_length=MAX_FOLDER_CHARACTERS,
        null=True,
        help_text="The start of the clip's folder, with `/` at the end; null for none.",
    )
    clip_duration_s = models.FloatField(null=True)
    clip_notices = models.CharField(
        max_length=255, null=True, help_text="Codes, each between two spaces; null for none."
    )
    clip_tags = models.CharField(
        max_length=255, null=True, help_text="Keys of tags, each between two spaces; null for none."
    )
    event_count = models.PositiveIntegerField(
        null=True, help_text="How many events it has; empty until the analysis is done."
    )
    long = models.BooleanField(
        default=False, help_text="Longer than one window, so shown as a recording with its events."
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
            # With the columns of the history's filters, so that rows that do not match are skipped
            # without reading them. The longest entry must fit in PostgreSQL's limit of 2,704 bytes.
            models.Index(
                fields=[
                    *("owner", "-created_at", "-id", "confidence", "clip_folded_name"),
                    *("clip_duration_s", "clip_folder"),
                ],
                name="analysis_of_owner",
            ),
            # Of the analyses that have any.
            models.Index(
                fields=["owner", "clip_folder", "-created_at", "-id"],
                condition=Q(clip_folder__isnull=False),
                name="analysis_by_folder",
            ),
            *(
                models.Index(
                    fields=["owner", "-created_at", "-id", f"clip_{what}"],
                    condition=Q(**{f"clip_{what}__isnull": False}),
                    name=f"analysis_with_{what}",
                )
                for what in ("notices", "tags")
            ),
            # Up to the last column of the order: otherwise SQLite scans the whole history.
            models.Index(
                fields=["owner", "label", "-created_at", "-id", "confidence"],
                name="analysis_by_label",
            ),
            *(
                models.Index(
                    fields=["owner", what, "-created_at", "-id"], name=f"analysis_by_{what}"
                )
                for what in ("state", "checkpoint")
            ),
            # The other orders of the history.
            *(
                models.Index(fields=["owner", what, "id"], name=f"analysis_sorted_{name}")
                for name, what in (
                    ("confidence", "confidence"),
                    ("name", "clip_folded_name"),
                    ("length", "clip_duration_s"),
                )
            ),
            # For the rate of a batch: what finished in the last minutes.
            models.Index(fields=["owner", "finished_at"], name="analysis_finished"),
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

    @classmethod
    def of(cls, clip: Clip, **values: Any) -> "Analysis":
        """Return a new analysis of a clip, not saved yet, with the copies of the clip's columns."""
        return cls(clip=clip, owner_id=clip.owner_id, **clip.copied(), **values)

    def __str__(self) -> str:
        return f"{display_name(self.label) if self.label else self.state} · {self.id}"

    @property
    def folder(self) -> Path:
        return storage.analysis_folder(self.pk, self.token)

    @property
    def judgement(self) -> Judgement | None:
        """The judgement of the clip as a whole, if it applies to the checkpoint. As in `judged`."""
        said = judgement_of(self.clip)
        return said if said and (said.label or said.checkpoint == self.checkpoint) else None

    @property
    def right(self) -> bool | None:
        """Whether the answer agrees with the judgement; None without either. As in `judged`."""
        if self.judgement is None or self.state != State.DONE:
            return None
        said = self.judgement.label
        return said == self.label or (self.not_sure and not said)

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
