"""Create, fill, close, cancel and summarise batches, for pages, API and command."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeGuard
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from classifier.models import Analysis, Batch, BatchFile, BatchMail, FileOutcome, Lane, Owner, State
from classifier.models.clips import MAX_NAME_CHARACTERS
from classifier.services import uploads
from classifier.services.problems import RETRYABLE, RequestRefused, refusal
from ml.errors import Problem
from ml.file_names import escaped, folder_of, is_hidden

MAX_FILES = 10_000
MAX_PATH_CHARACTERS = 1000
MAX_LEFT_OUT = 1_000_000
# The limit of an index entry in PostgreSQL.
MAX_PATH_BYTES = 2400
HIDDEN = Problem(
    "hidden",
    "This is a hidden file or a file of the operating system.",
    "If it is a sound, rename it so that no part of the path starts with a dot.",
)
PATH_USED = Problem(
    "path_used",
    "The batch already has another file at this path.",
    "Send the file under another path, or in another batch.",
)
_UNDONE = (State.RUNNING, State.QUEUED, State.FAILED, State.CANCELLED)
# States and outcomes that `Totals` counts under another name.
_COLUMNS: dict[str, str] = {State.QUEUED: "waiting", FileOutcome.ACCEPTED: "done"}


@dataclass(slots=True)
class Totals:
    """Number of files in a batch by state.

    Each file counts once; a duplicate counts only as `duplicate`.
    """

    total: int = 0
    done: int = 0
    running: int = 0
    waiting: int = 0
    failed: int = 0
    refused: int = 0
    duplicate: int = 0
    cancelled: int = 0

    @property
    def unfinished(self) -> int:
        return self.running + self.waiting

    @property
    def finished(self) -> int:
        return self.total - self.unfinished

    @property
    def sounds(self) -> int:
        """The clips that were uploaded through the batch."""
        return self.total - self.refused - self.duplicate

    @property
    def shown(self) -> dict[str, int]:
        """The counts by state that are not 0, without the total."""
        return {name: count for name, count in asdict(self).items() if count and name != "total"}

    @property
    def words(self) -> str:
        """The counts that are not 0 as text: 2,798 done, 2 failed."""
        return ", ".join(f"{count:,} {name}" for name, count in self.shown.items())

    def add(self, what: str, count: int) -> None:
        """Count files with this outcome, or of accepted ones with this state."""
        name = _COLUMNS.get(what, what)
        setattr(self, name, getattr(self, name) + count)
        self.total += count

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


# --- create and fill ----------------------------------------------------------------------


def create(
    owner: Owner, name: str, source: str = "", checkpoint: str = "", *, mail: bool = False
) -> Batch:
    """Create a batch.

    Parameters
    ----------
    name : str
        As `name_of` returns it.
    source : str
        The folder that `submit_folder` reads; "" for other batches.
    checkpoint : str
        Name or identity, used for all files of the batch; "" means the default.
    mail : bool
        Whether to send the owner an e-mail when the batch has finished.

    Raises
    ------
    RequestRefused
        No such checkpoint is offered.
    """
    assert isinstance(owner, User)
    identity = uploads.checkpoint_asked(checkpoint)
    wanted = BatchMail.WANTED if mail and may_mail(owner) else BatchMail.NONE
    return Batch.objects.create(
        owner=owner, name=name, source=source, checkpoint=identity, mail=wanted
    )


def may_mail(user: User) -> bool:
    """Whether the server can send e-mail and the user has an address."""
    return bool(settings.EMAIL_HOST and user.email)


def note_left_out(batch: Batch, count: int) -> None:
    """Store how many files of the folder or ZIP just sent were left out."""
    Batch.objects.filter(pk=batch.pk).update(left_out=min(count, MAX_LEFT_OUT))


def name_of(text: str) -> str:
    """Return the name of a batch that is called `text`, for example the name of its folder."""
    return escaped(text)[:MAX_NAME_CHARACTERS] if text.strip() else "Untitled folder"


def _check_path(path: str) -> None:
    """Raise RequestRefused (400) if the path is empty or too long."""
    if not path:
        raise refusal("no_path", "The file has no name.", "Send the path relative to the folder.")
    if len(path) > MAX_PATH_CHARACTERS or len(path.encode()) > MAX_PATH_BYTES:
        raise refusal(
            "path_too_long",
            f"The path is longer than {MAX_PATH_CHARACTERS} characters.",
            "Submit the subfolder as a separate batch.",
        )


def add_file(batch: Batch, path: str, chunks: Iterable[bytes]) -> BatchFile:
    """Add one file to the batch.

    If the batch already has the path with the same bytes, return the existing row. A file that
    cannot be accepted becomes a refused row; the next file at its path takes the row over.

    Parameters
    ----------
    path : str
        Label of the path in its folder, see `ml.file_names`.
    chunks : iterable of bytes
        The bytes of the file, piece by piece.

    Raises
    ------
    RequestRefused
        No row can be created: the path is invalid or belongs to a file with other bytes (400), the
        batch is full, closed, cancelled or deleted (409); or the file is not the reason: the
        owner's quota is exceeded (429) or the disk is full (507).
    """
    _check_path(path)
    if _accepted(row := _row_at(batch, path)):
        _check_same(row, _sha256(chunks))
        return row
    _check_open(batch)
    if is_hidden(path):
        return refuse(batch, path, HIDDEN)
    try:
        with uploads.ingest(chunks) as stored:
            return _enter(batch, path, stored)
    except RequestRefused as refused:
        if not refused.blames_file:
            raise
        return refuse(batch, path, refused.problem)


def refuse(batch: Batch, path: str, problem: Problem) -> BatchFile:
    """Add a row for a refused file, or state its problem in the row of one refused at that path.

    Raises
    ------
    RequestRefused
        The path is invalid or belongs to a file that was not refused (400), or the batch is full,
        closed, cancelled or deleted (409).
    """
    _check_path(path)
    texts = {name: text[:300] for name, text in problem.as_dict().items()}
    with transaction.atomic():
        if _accepted(row := _row_or_room(batch, path)):
            raise RequestRefused(PATH_USED)
        return _set_row(batch, path, row, outcome=FileOutcome.REFUSED, **texts)


def _enter(batch: Batch, path: str, stored: uploads.Stored) -> BatchFile:
    if _accepted(row := _row_or_room(batch, path)):
        _check_same(row, stored.sha256)
        return row
    earlier = Analysis.objects.known(batch.owner, stored.sha256, batch.checkpoint)
    analysis = earlier or uploads.enter(
        stored,
        name=path.rpartition("/")[2],
        folder=folder_of(path),
        owner=batch.owner,
        lane=Lane.BULK,
        checkpoint=batch.checkpoint,
    )
    outcome = FileOutcome.DUPLICATE if earlier else FileOutcome.ACCEPTED
    values = {"outcome": outcome, "analysis": analysis, "code": "", "detail": "", "hint": ""}
    return _set_row(batch, path, row, **values)


def _set_row(batch: Batch, path: str, row: BatchFile | None, **values: Any) -> BatchFile:
    """Change the row of the path, which is locked with its batch, or create it if there is none."""
    row = row or BatchFile(batch=batch, path=path, folder=folder_of(path))
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    return row


def _row_at(batch: Batch, path: str) -> BatchFile | None:
    return batch.files.filter(path=path).first()


def _accepted(row: BatchFile | None) -> TypeGuard[BatchFile]:
    """Whether there is a row, and its file was not refused."""
    return row is not None and row.outcome != FileOutcome.REFUSED


def _check_same(row: BatchFile, sha256: str) -> None:
    """Raise RequestRefused (400) if the row's file has other bytes."""
    analyses = Analysis.objects.filter(batch_files=row)
    if analyses.exclude(clip__sha256=sha256).exists():
        raise RequestRefused(PATH_USED)


def _sha256(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _row_or_room(batch: Batch, path: str) -> BatchFile | None:
    """Return the row of the path, None if there is none.

    Locks the batch: of two requests with the same path the second finds the row of the first.

    Raises
    ------
    RequestRefused
        The row is not an accepted one, and no file may be added: the batch is full, closed,
        cancelled or deleted (409).
    """
    batch = locked(batch)
    if _accepted(row := _row_at(batch, path)):
        return row
    _check_open(batch)
    if batch.files.exclude(path=path).count() >= MAX_FILES:
        raise refusal(
            "batch_full",
            f"A batch holds at most {MAX_FILES:,} files.",
            "Submit the rest as another batch.",
            status=409,
        )
    return row


def locked(batch: Batch) -> Batch:
    """Return the batch as it is now, locked until the transaction ends.

    Raises
    ------
    RequestRefused
        The batch was deleted (409).
    """
    found = Batch.objects.select_for_update().filter(pk=batch.pk).first()
    if found is None:
        raise refusal("batch_deleted", "The batch was deleted.", "Create a new batch.", status=409)
    return found


def _check_open(batch: Batch) -> None:
    if not batch.open:
        state = "cancelled" if batch.cancelled_at else "closed"
        raise refusal(
            f"batch_{state}",
            f"The batch is {state}.",
            "Create a new batch. Files that you already uploaded are linked, not analysed again.",
            status=409,
        )


# --- close, cancel, retry -----------------------------------------------------------------


def close(batch: Batch) -> None:
    """Close the batch to new files. Queued analyses still run.

    Raises
    ------
    RequestRefused
        The batch was deleted (409).
    """
    with transaction.atomic():
        locked(batch)
        Batch.objects.filter(pk=batch.pk, closed_at=None).update(closed_at=timezone.now())
        batch.refresh_from_db()


def cancel(batch: Batch) -> int:
    """Close the batch and cancel its queued analyses (QUEUED → CANCELLED).

    Running analyses continue to their end.

    Returns
    -------
    int
        The number of cancelled analyses.

    Raises
    ------
    RequestRefused
        The batch was deleted (409).
    """
    with transaction.atomic():
        # First, so that no file is added after the queued analyses are cancelled.
        close(batch)
        mine = Batch.objects.filter(pk=batch.pk, cancelled_at=None)
        mine.update(cancelled_at=timezone.now())
        cancelled = _cancel_queued(batch)
        batch.refresh_from_db()
    return cancelled


def cancel_returned(analyses: Sequence[Analysis]) -> int:
    """Cancel those of a worker's returned analyses whose batch was cancelled meanwhile.

    Returns
    -------
    int
        The number of cancelled analyses.
    """
    ended = Batch.objects.filter(files__analysis__in=analyses, cancelled_at__isnull=False)
    return sum(map(_cancel_queued, ended.distinct()))


def _cancel_queued(batch: Batch) -> int:
    own = batch.files.in_state(State.QUEUED).values("analysis")
    return Analysis.objects.filter(pk__in=own).cancel()


def retry_failed(batch: Batch) -> int:
    """Queue a new analysis, with the batch's checkpoint, of the files that may not fail again.

    These are the files that failed with a code in `RETRYABLE`. The owner is told again when the
    batch has finished.

    Returns
    -------
    int
        The number of files retried.

    Raises
    ------
    RequestRefused
        The batch is cancelled (409).
    """
    if batch.cancelled_at:
        _check_open(batch)
    clips = list(batch.files.retryable(RETRYABLE).values_list("analysis__clip", flat=True))
    for at in range(0, len(clips), uploads.QUEUED_AT_ONCE):
        some = clips[at : at + uploads.QUEUED_AT_ONCE]
        uploads.queue_analyses(some, Lane.BULK, batch.checkpoint)
    if clips:
        asked = Batch.objects.filter(pk=batch.pk).exclude(mail=BatchMail.NONE)
        asked.update(mail=BatchMail.WANTED, mail_attempts=0)
    return len(clips)


# --- summarise ----------------------------------------------------------------------------


def totals(batch: Batch) -> Totals:
    return totals_of([batch])[batch.pk]


def totals_of(batches: Sequence[Batch]) -> dict[UUID, Totals]:
    """Return the totals of several batches by id, in one query that does not read finished ones.

    Most analyses are done, so these are not counted: they are the accepted files minus the others.
    """
    found = {batch.pk: Totals() for batch in batches}
    files = BatchFile.objects.filter(batch__in=list(found))
    outcomes = files.values_list("batch", "outcome").annotate(count=Count("*")).order_by()
    others = (
        Analysis.objects.filter(
            # The owner follows from the batch, but an index begins with it.
            owner__in={batch.owner_id for batch in batches},
            state__in=_UNDONE,
            batch_files__batch__in=list(found),
            batch_files__outcome=FileOutcome.ACCEPTED,
        )
        .values_list("batch_files__batch", "state")
        .annotate(count=Count("*"))
        .order_by()
    )
    for pk, what, count in outcomes.union(others, all=True):
        if what in _UNDONE:
            # It was counted as accepted, which means done.
            found[pk].add(FileOutcome.ACCEPTED, -count)
        found[pk].add(what, count)
    return found


def problems(batch: Batch, totals: Totals, most: int) -> list[BatchFile]:
    """Return at most `most` files that failed or were refused.

    The list never has more failed or more refused files than `totals` counts: files may have
    failed or been retried since they were counted, and a page that shows both must be consistent.
    """
    if not (totals.failed or totals.refused):
        return []
    left = {FileOutcome.ACCEPTED: totals.failed, FileOutcome.REFUSED: totals.refused}
    shown = []
    for file in batch.files.with_problems()[:most]:
        outcome = FileOutcome(file.outcome)
        if left[outcome]:
            left[outcome] -= 1
            shown.append(file)
    return shown
