"""Folders as batches: what page, API and command do with many clips at once."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Exists, Min, OuterRef, QuerySet
from django.utils import timezone

from classifier.models import (
    UNFINISHED,
    Analysis,
    Batch,
    BatchFile,
    Clip,
    FileOutcome,
    Lane,
    State,
)
from classifier.services import uploads
from classifier.services.uploads import UploadRefused

MAX_FILES = 10_000
# Deleted in one transaction.
CLIPS_AT_ONCE = 500
MAX_PATH_CHARACTERS = 1000
# An index entry of PostgreSQL takes no more.
MAX_PATH_BYTES = 2400
_SYSTEM_NAMES = {"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"}
_UNDONE: dict[str, str] = {
    State.RUNNING: "running",
    State.QUEUED: "waiting",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}


@dataclass(slots=True)
class Totals:
    """Files of a batch by what became of them; each counts once, a duplicate as nothing else."""

    total: int = 0
    done: int = 0
    running: int = 0
    waiting: int = 0
    failed: int = 0
    cancelled: int = 0
    refused: int = 0
    duplicate: int = 0

    @property
    def unfinished(self) -> int:
        return self.running + self.waiting

    @property
    def finished(self) -> int:
        return self.total - self.unfinished

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LabelCount:
    label: str
    count: int
    share: float


# --- in -----------------------------------------------------------------------------------


def create(owner, name: str, source: str = "", checkpoint: str = "") -> Batch:
    """checkpoint: by name or identity, for all its files. Raises UploadRefused."""
    name = "".join(c for c in name if c.isprintable()).strip()[:255]
    return Batch.objects.create(
        owner=owner,
        name=name or "Untitled folder",
        source=source,
        checkpoint=uploads.checkpoint_asked(checkpoint),
    )


def path_of(text: str) -> str:
    """A path inside its folder, as a label: forward slashes, no dots, nothing unprintable."""
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    path = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in "/".join(parts))
    if not path:
        raise UploadRefused("no_path", "The file has no name.", "Send its path in the folder.")
    if len(path) > MAX_PATH_CHARACTERS or len(path.encode()) > MAX_PATH_BYTES:
        raise UploadRefused(
            "path_too_long",
            f"The path is longer than {MAX_PATH_CHARACTERS} characters.",
            "Submit the inner folder as a batch of its own.",
        )
    return path


def hidden(path: str) -> bool:
    """What an operating system left there: no person means to submit it."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in (".", "..")]
    return any(part.startswith(".") or part.lower() in _SYSTEM_NAMES for part in parts)


def add_file(batch: Batch, path: str, chunks: Iterable[bytes]) -> BatchFile:
    """Take in one file. A path that the batch has is answered with what is known of it.

    What cannot be taken in becomes a refused row. Raises UploadRefused where no row can be made:
    a path that is none, a batch that is closed or full; and where it says nothing about the file:
    beyond the owner's quota (429) or the disk's room (507).
    """
    path = path_of(path)
    known = batch.files.filter(path=path).first()
    if known:
        return known
    _check_open(batch)
    try:
        stored = uploads.store(chunks)
    except uploads.NoRoom:
        raise
    except UploadRefused as error:
        return refuse(batch, path, error)
    with uploads.dropped_if_refused(stored), transaction.atomic():
        file = _enter(batch, path, stored)
    if file.analysis is None or file.analysis.clip.file_key != stored.file_key:
        stored.drop()
    return file


def refuse(batch: Batch, path: str, reason: UploadRefused) -> BatchFile:
    """A row for a file that was not taken in, unless the batch has that path."""
    path = path_of(path)
    with transaction.atomic():
        known = _known_or_room(batch, path)
        return known or batch.files.create(
            path=path,
            outcome=FileOutcome.REFUSED,
            code=reason.code,
            detail=reason.detail[:300],
            hint=reason.hint[:300],
        )


def _enter(batch: Batch, path: str, stored: uploads.Stored) -> BatchFile:
    known = _known_or_room(batch, path)
    if known:
        return known
    earlier = _earlier(batch, stored.sha256)
    analysis = earlier or uploads.enter(
        stored, name=path, owner=batch.owner, lane=Lane.BULK, checkpoint=batch.checkpoint
    )
    outcome = FileOutcome.DUPLICATE if earlier else FileOutcome.ACCEPTED
    return batch.files.create(path=path, outcome=outcome, analysis=analysis)


def _known_or_room(batch: Batch, path: str) -> BatchFile | None:
    """Locks the batch: of two that send the same path the second finds the first one's row."""
    batch = _locked(batch)
    known = batch.files.select_related("analysis__clip").filter(path=path).first()
    if known:
        return known
    _check_open(batch)
    if batch.files.count() >= MAX_FILES:
        raise UploadRefused(
            "batch_full",
            f"A batch holds at most {MAX_FILES:,} files.",
            "Submit the rest as another batch.",
            status=409,
        )
    return None


def _locked(batch: Batch) -> Batch:
    """As it is now, and nobody else's until the transaction ends."""
    found = Batch.objects.select_for_update().filter(pk=batch.pk).first()
    if found is None:
        raise UploadRefused(
            "batch_deleted", "The batch was deleted.", "Make a new batch.", status=409
        )
    return found


def _earlier(batch: Batch, sha256: str) -> Analysis | None:
    """This owner's analysis of the same bytes by the batch's checkpoint: a finished one before
    one that is under way.

    Locked until the transaction ends, so that nobody deletes it before the batch has it.
    """
    same = Analysis.objects.filter(owner=batch.owner_id, clip__sha256=sha256)
    useful = same.filter(state__in=(State.DONE, *UNFINISHED)).answering(batch.checkpoint)
    useful = useful.select_related("clip")
    useful = useful.select_for_update(of=("self",))
    return useful.order_by("state", "created_at").first()  # "done" sorts before the others


def _check_open(batch: Batch) -> None:
    if not batch.open:
        state = "cancelled" if batch.cancelled_at else "closed"
        raise UploadRefused(
            f"batch_{state}",
            f"The batch is {state}.",
            "Make a new batch; what is known already is linked, not heard again.",
            status=409,
        )


# --- what people do with it ---------------------------------------------------------------


def close(batch: Batch) -> None:
    """Nothing more will come. What waits is still heard."""
    with transaction.atomic():
        _locked(batch)
        Batch.objects.filter(pk=batch.pk, closed_at=None).update(closed_at=timezone.now())
        batch.refresh_from_db()


def cancel(batch: Batch) -> int:
    """Close, and QUEUED → CANCELLED. What is being heard is heard to its end. Returns how many."""
    now = timezone.now()
    with transaction.atomic():
        # So that no file slips in behind the last look.
        _locked(batch)
        Batch.objects.filter(pk=batch.pk, closed_at=None).update(closed_at=now)
        Batch.objects.filter(pk=batch.pk, cancelled_at=None).update(cancelled_at=now)
        own = batch.files.in_state(State.QUEUED).values("analysis")
        cancelled = Analysis.objects.filter(pk__in=own, state=State.QUEUED).update(
            state=State.CANCELLED, finished_at=now
        )
        batch.refresh_from_db()
    return cancelled


def retry_failed(batch: Batch) -> int:
    """A new analysis for each failed one, by the batch's checkpoint. Returns how many."""
    if batch.cancelled_at:
        _check_open(batch)
    retried = 0
    for file in batch.files.in_state(State.FAILED).select_related("analysis__clip"):
        assert file.analysis
        uploads.hear(file.analysis.clip, Lane.BULK, batch.checkpoint)
        retried += 1
    return retried


def delete(batch: Batch) -> None:
    """The batch, and with it the clips that came in through it, their analyses and files.

    Clips that another batch has too stay, and are that batch's own from now on. Some hundred at a
    time, so that nobody waits long for the database; cut off in between, a second call goes on.
    """
    with transaction.atomic():
        # Closed, so that no file slips in behind; cancelled, so that no worker begins in vain.
        _locked(batch)
        now = timezone.now()
        Batch.objects.filter(pk=batch.pk).update(closed_at=now, cancelled_at=now)
        Analysis.objects.filter(clip__in=_only_here(batch).values("pk")).cancel()
    while some := list(_only_here(batch).values_list("pk", flat=True)[:CLIPS_AT_ONCE]):
        uploads.delete_clips(_only_here(batch).filter(pk__in=some))
    with transaction.atomic():
        _hand_over(batch)
        batch.delete()


def _only_here(batch: Batch) -> QuerySet[Clip]:
    """Clips that came in through the batch and are in no other."""
    own = batch.files.filter(outcome=FileOutcome.ACCEPTED).values("analysis__clip")
    others = BatchFile.objects.filter(analysis__clip=OuterRef("pk")).exclude(batch=batch)
    return Clip.objects.filter(~Exists(others), pk__in=own)


def _hand_over(batch: Batch) -> None:
    """Of the clips that stay, the first row in another batch owns what was a duplicate there."""
    own = batch.files.filter(outcome=FileOutcome.ACCEPTED).values("analysis__clip")
    theirs = BatchFile.objects.filter(analysis__clip__in=own).exclude(batch=batch)
    first = theirs.values("analysis__clip").annotate(first=Min("pk")).values("first")
    BatchFile.objects.filter(pk__in=first).update(outcome=FileOutcome.ACCEPTED)


# --- out ----------------------------------------------------------------------------------


def totals(batch: Batch) -> Totals:
    return totals_of([batch])[batch.pk]


def totals_of(batches: Sequence[Batch]) -> dict[UUID, Totals]:
    """For all of them in one query, which looks at no analysis that is done.

    Most are, so they are what the files that were accepted leave when the others are counted.
    """
    found = {batch.pk: Totals() for batch in batches}
    files = BatchFile.objects.filter(batch__in=list(found))
    outcomes = files.values_list("batch", "outcome").annotate(count=Count("*")).order_by()
    others = (
        Analysis.objects.filter(
            # Whose they are says no more than the batch does, but an index begins with it.
            owner__in={batch.owner_id for batch in batches},
            state__in=list(_UNDONE),
            batch_files__batch__in=list(found),
            batch_files__outcome=FileOutcome.ACCEPTED,
        )
        .values_list("batch_files__batch", "state")
        .annotate(count=Count("*"))
        .order_by()
    )
    for pk, what, count in outcomes.union(others, all=True):
        if what in _UNDONE:
            name = _UNDONE[what]
            found[pk].done -= count
        else:
            name = "done" if what == FileOutcome.ACCEPTED else what
            found[pk].total += count
        setattr(found[pk], name, getattr(found[pk], name) + count)
    return found


def labels(batch: Batch) -> list[LabelCount]:
    """How often each label was heard, the most frequent first."""
    counted = (
        batch.files.in_state(State.DONE)
        .values_list("analysis__label")
        .annotate(count=Count("pk"))
        .order_by("-count", "analysis__label")
    )
    rows = list(counted)
    whole = sum(count for _, count in rows)
    return [LabelCount(label, count, count / whole) for label, count in rows]
