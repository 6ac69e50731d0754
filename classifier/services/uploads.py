"""The only way in: page, API, command and admin all come through here."""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import QuerySet

from classifier import storage
from classifier.checkpoints import inventory
from classifier.models import (
    UNFINISHED,
    Analysis,
    BatchFile,
    Clip,
    IdempotencyKey,
    Inspection,
    Lane,
    State,
)
from classifier.services import inspections, quotas
from classifier.services.dispatch import dispatch_analysis


class UploadRefused(Exception):
    """Not accepted, nothing stored. `status` is the HTTP status that says so.

    429 is for now: the same upload may be welcome later.
    """

    def __init__(self, code: str, detail: str, hint: str, status: int = 400) -> None:
        super().__init__(detail)
        self.code, self.detail, self.hint, self.status = code, detail, hint, status


class NoRoom(UploadRefused):
    """The disk is full: no fault of the file, which is welcome later."""

    def __init__(self) -> None:
        super().__init__(
            "no_room",
            "There is no room left to store it.",
            "Send it again later; whoever runs this has to make room.",
            status=507,
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that are on the disk, and that no row knows yet."""

    file_key: str
    size_bytes: int
    sha256: str

    def drop(self) -> None:
        storage.clip_path(self.file_key).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Accepted:
    """`duplicate`: the analysis is an earlier one of the same bytes. `replayed`: the key's."""

    analysis: Analysis
    duplicate: bool
    replayed: bool


def checkpoint_asked(asked: str) -> str:
    """The identity of the installed checkpoint that a name or an identity means; "" stays "".

    Raises UploadRefused.
    """
    found = inventory.find(asked) if asked else None
    if asked and found is None:
        names = ", ".join(one.name for one in inventory.offered())
        raise UploadRefused(
            "unknown_checkpoint",
            f"There is no checkpoint {asked[:120]!r} here.",
            f"Installed: {names}." if names else "None is installed that can be used.",
        )
    return found.identity if found else ""


def accept(
    chunks: Iterable[bytes],
    *,
    name: str,
    owner,
    lane: Lane = Lane.INTERACTIVE,
    checkpoint: str = "",
) -> Analysis:
    """Store the bytes, then the rows, then wake a worker. Raises UploadRefused."""
    identity = checkpoint_asked(checkpoint)
    stored = store(chunks)
    # Should this fail, the bytes stay for the sweep: a commit whose answer was lost may have held.
    with dropped_if_refused(stored), transaction.atomic():
        analysis = enter(stored, name=name, owner=owner, lane=lane, checkpoint=identity)
    if analysis.clip.file_key != stored.file_key:
        stored.drop()
    return analysis


@contextmanager
def dropped_if_refused(stored: Stored) -> Iterator[None]:
    try:
        yield
    except UploadRefused:
        stored.drop()
        raise


def enter(stored: Stored, *, name: str, owner, lane: Lane, checkpoint: str) -> Analysis:
    """The rows of stored bytes, inside the caller's transaction. checkpoint: an identity, or "".

    Identical bytes of the same owner are kept once: where the clip's file_key is another, the
    caller drops what it stored, after the commit. Raises UploadRefused beyond the owner's quota.
    """
    too_much = quotas.reached(owner, stored.size_bytes)
    if too_much:
        raise UploadRefused(*too_much, status=429)
    # Locked, so that a deletion of the twin either sees us or is seen by us.
    twins = Clip.objects.with_bytes(owner, stored.sha256)
    twin = twins.select_for_update().only("file_key").first()
    clip = Clip.objects.create(
        owner=owner,
        name=label_of(name),
        file_key=twin.file_key if twin else stored.file_key,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
    )
    return _queue(clip, lane, checkpoint)


def accept_once(
    chunks: Iterable[bytes],
    *,
    name: str,
    owner,
    key: str = "",
    again: bool = False,
    checkpoint: str = "",
) -> Accepted:
    """As `accept`, but the same bytes, or the same key, get the same answer as before.

    Known are bytes that the checkpoint asked for has heard; `again` asks for a new analysis of
    those too. Raises UploadRefused, also for a key that came with other bytes before.
    """
    identity = checkpoint_asked(checkpoint)
    stored = store(chunks)
    with dropped_if_refused(stored), transaction.atomic():
        # One upload of an owner at a time: of two equal ones the second finds the first.
        # (Without the key's lock, so that rows that name this owner may still be made.)
        get_user_model().objects.select_for_update(no_key=True).get(pk=owner.pk)
        accepted = _answered(stored, owner, key, identity) or _answer(
            stored, name, owner, key, again, identity
        )
    if accepted.analysis.clip.file_key != stored.file_key:
        stored.drop()
    return accepted


def _answered(stored: Stored, owner, key: str, checkpoint: str) -> Accepted | None:
    """What this key was answered before."""
    rows = IdempotencyKey.objects.filter(owner=owner, key=key).select_related("analysis__clip")
    past = rows.first() if key else None
    if past is None:
        return None
    # Whoever names no checkpoint now takes what the key was answered, by whichever it was.
    analysed = Analysis.objects.filter(pk=past.analysis_id)
    other = "file" if past.sha256 != stored.sha256 else ""
    if checkpoint and not other and not analysed.answering(checkpoint).exists():
        other = "checkpoint"
    if other:
        raise UploadRefused(
            "key_reused",
            f"This Idempotency-Key came with another {other} before.",
            f"Use a new key for a new {other}.",
            status=409,
        )
    return Accepted(past.analysis, past.duplicate, replayed=True)


def _answer(stored: Stored, name: str, owner, key: str, again: bool, checkpoint: str) -> Accepted:
    known = None if again else Analysis.objects.known(owner, stored.sha256, checkpoint)
    analysis = known or enter(
        stored, name=name, owner=owner, lane=Lane.INTERACTIVE, checkpoint=checkpoint
    )
    accepted = Accepted(analysis, duplicate=known is not None, replayed=False)
    if key:
        IdempotencyKey.objects.create(
            owner=owner,
            key=key,
            sha256=stored.sha256,
            analysis=analysis,
            duplicate=accepted.duplicate,
        )
    return accepted


def analyse_again(clip: Clip, lane: Lane = Lane.INTERACTIVE, checkpoint: str = "") -> Analysis:
    """A new analysis of a known clip, or the one by this checkpoint that is already under way.

    Batches that have the clip, but no answer of it, and did not ask for another checkpoint go
    along; an answer that they have stays. Raises UploadRefused.
    """
    return hear(clip, lane, checkpoint_asked(checkpoint))


def hear(clip: Clip, lane: Lane, checkpoint: str) -> Analysis:
    """As `analyse_again`, for an identity that need not be installed any more, or ""."""
    with transaction.atomic():
        # One at a time per clip, so that a second request finds the first one's analysis.
        Clip.objects.select_for_update().get(pk=clip.pk)
        active = Analysis.objects.filter(clip=clip, state__in=UNFINISHED)
        analysis = active.answering(checkpoint).first() or _queue(clip, lane, checkpoint)
        BatchFile.objects.unheard(clip, checkpoint).update(analysis=analysis)
        return analysis


def delete_clip(clip: Clip) -> None:
    """The clip, its analyses and their files; shared bytes stay for their other clips."""
    delete_clips(Clip.objects.filter(pk=clip.pk))


def delete_clips(clips: QuerySet[Clip]) -> None:
    """As `delete_clip`, in one transaction; only what is still in `clips` once it is locked."""
    with transaction.atomic():
        asked = dict(clips.values_list("pk", "file_key"))
        # Nobody comes to lean on an analysis that is about to go. Analyses before clips, which is
        # the order of a worker that saves.
        runs = Analysis.objects.filter(clip__in=list(asked)).order_by("pk")
        list(runs.select_for_update().values_list("pk"))
        # Of two deletions the last one takes the bytes.
        twins = Clip.objects.filter(file_key__in=set(asked.values())).order_by("pk")
        list(twins.select_for_update().values_list("pk"))
        going = dict(clips.filter(pk__in=list(asked)).values_list("pk", "file_key"))
        # What a worker is just writing it removes itself, when it finds its row gone.
        analysed = Analysis.objects.filter(clip__in=list(going)).exclude(token="")
        analysed = analysed.exclude(state=State.RUNNING)
        folders = [storage.analysis_folder(*row) for row in analysed.values_list("pk", "token")]
        folders += inspections.locked_folders(
            Inspection.objects.filter(analysis__clip__in=list(going))
        )
        Clip.objects.filter(pk__in=list(going)).delete()
        unused = set(going.values()) - set(twins.values_list("file_key", flat=True))
    storage.remove_folders(folders)
    for file_key in unused:
        storage.clip_path(file_key).unlink(missing_ok=True)


def delete_analysis(analysis: Analysis) -> None:
    """One run, its inspections and all their files; the clip stays."""
    with transaction.atomic():
        # Nobody asks for a inspection of it meanwhile.
        list(Analysis.objects.filter(pk=analysis.pk).select_for_update().values_list("pk"))
        folders = [analysis.folder]
        folders += inspections.locked_folders(Inspection.objects.filter(analysis=analysis))
        analysis.delete()
    storage.remove_folders(folders)


def label_of(name: str) -> str:
    """A file name as a label: no folders, no control characters, at most 255 characters."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable()).strip()[:255] or "unnamed"


def _queue(clip: Clip, lane: Lane, checkpoint: str) -> Analysis:
    analysis = Analysis.objects.create(
        clip=clip, owner_id=clip.owner_id, lane=lane, checkpoint=checkpoint
    )
    # Robust: without the broker the upload is accepted all the same, and the sweep sends it later.
    # (A lambda, because Django names the failed hook in its log, and a partial has no name.)
    transaction.on_commit(lambda: dispatch_analysis(analysis.pk, lane), robust=True)
    return analysis


def store(chunks: Iterable[bytes]) -> Stored:
    """Raises UploadRefused; then nothing is kept."""
    if not storage.has_room():
        raise NoRoom
    file_key = secrets.token_hex(16)
    incoming = storage.incoming_path(file_key)
    try:
        size_bytes, sha256 = _write(chunks, incoming)
        target = storage.clip_path(file_key)
        target.parent.mkdir(parents=True, exist_ok=True)
        incoming.replace(target)
    except BaseException as error:
        incoming.unlink(missing_ok=True)
        if isinstance(error, OSError) and storage.is_full(error):
            raise NoRoom from error
        raise
    return Stored(file_key, size_bytes, sha256)


def _write(chunks: Iterable[bytes], path: Path) -> tuple[int, str]:
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > settings.MAX_UPLOAD_BYTES:
                raise UploadRefused(
                    "too_large",
                    f"The file is larger than {settings.MAX_UPLOAD_BYTES / 1e6:.0f} MB.",
                    "Cut it into parts, or save it in a compressed format such as FLAC.",
                    status=413,
                )
            digest.update(chunk)
            file.write(chunk)
        if not size_bytes:
            raise UploadRefused("empty", "The file is empty.", "Choose a file that holds a sound.")
        file.flush()
        os.fsync(file.fileno())
    return size_bytes, digest.hexdigest()
