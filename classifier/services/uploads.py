"""Store uploaded bytes; pages, API, command, batch files and ZIP members all use `ingest`."""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils.datastructures import MultiValueDict

from classifier import storage
from classifier.checkpoints import inventory
from classifier.models import (
    UNFINISHED,
    Analysis,
    Batch,
    BatchFile,
    Clip,
    IdempotencyKey,
    Lane,
    Owner,
    tag_words,
)
from classifier.models.clips import MAX_NAME_CHARACTERS
from classifier.services import quotas
from classifier.services.dispatch import dispatch_analysis
from classifier.services.problems import EMPTY, NO_ROOM, RequestRefused, refusal, too_large

# Of many clips at once; a message starts up to 64, and then the next message.
CLIPS_PER_MESSAGE = 16
# Clips that callers queue in one transaction.
QUEUED_AT_ONCE = 100


@dataclass(slots=True)
class Stored:
    """Uploaded bytes on the disk.

    Attributes
    ----------
    size_bytes : int
        Length of the file in bytes.
    sha256 : str
        Hex digest of the bytes.
    used : bool
        Whether a clip refers to the bytes; `enter` sets it.
    """

    file_key: str
    size_bytes: int
    sha256: str
    used: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to an upload.

    Attributes
    ----------
    duplicate : bool
        The analysis is an earlier one of the same bytes.
    replayed : bool
        The analysis was already returned for the same idempotency key.
    """

    analysis: Analysis
    duplicate: bool = False
    replayed: bool = False


@contextmanager
def ingest(chunks: Iterable[bytes]) -> Iterator[Stored]:
    """Store the bytes; the body of the `with` creates their rows, in one transaction.

    Bytes that no clip refers to in the end are deleted, also when the body raises RequestRefused.
    After any other failure they stay for the sweep: the commit may have succeeded although its
    reply was lost.

    Yields
    ------
    Stored
        The stored bytes.

    Raises
    ------
    RequestRefused
        The file is empty (400) or too large (413), or the disk is full (507).
    """
    stored = _store(chunks)
    path = storage.clip_path(stored.file_key)
    try:
        with transaction.atomic():
            yield stored
    except RequestRefused:
        path.unlink(missing_ok=True)
        raise
    if not stored.used:
        path.unlink(missing_ok=True)


def one_file(files: MultiValueDict) -> Any:
    """Return the file in the field `file` of a form, or None if there is none.

    Raises
    ------
    RequestRefused
        The form has several files (400).
    """
    count = sum(len(named) for _, named in files.lists())
    if count > 1:
        raise refusal(
            "several_files",
            f"The request has {count} files; none of them was stored.",
            "Send one file per request, in the field `file`.",
        )
    return files.get("file")


def checkpoint_asked(asked: str) -> str:
    """Return the identity of the installed checkpoint with this name or identity.

    Parameters
    ----------
    asked : str
        Name or identity; "" is returned unchanged.

    Raises
    ------
    RequestRefused
        No such checkpoint is offered.
    """
    found = inventory.find(asked) if asked else None
    if asked and found is None:
        names = ", ".join(one.name for one in inventory.offered())
        raise refusal(
            "unknown_checkpoint",
            f"The checkpoint {asked[:120]!r} is not available.",
            f"Installed: {names}." if names else "No usable checkpoint is installed.",
        )
    return found.identity if found else ""


def accept(
    chunks: Iterable[bytes],
    *,
    name: str,
    owner: Owner,
    lane: Lane = Lane.INTERACTIVE,
    checkpoint: str = "",
) -> Analysis:
    """Create a new clip and its analysis, even if the same bytes are already known.

    Parameters
    ----------
    checkpoint : str
        Name or identity; "" means the default.

    Raises
    ------
    RequestRefused
        As `ingest`, `checkpoint_asked` and `enter` raise it.
    """
    identity = checkpoint_asked(checkpoint)
    with ingest(chunks) as stored:
        return enter(stored, name=name, owner=owner, lane=lane, checkpoint=identity)


def accept_once(
    chunks: Iterable[bytes],
    *,
    name: str,
    owner: Owner,
    key: str = "",
    again: bool = False,
    checkpoint: str = "",
) -> Accepted:
    """Accept an upload like `accept`, but give the same bytes or the same key the same answer.

    Parameters
    ----------
    key : str
        Idempotency key of the request; "" for none.
    again : bool
        Request a new analysis even if the requested checkpoint has analysed these bytes.
    checkpoint : str
        Name or identity; "" means the default.

    Raises
    ------
    RequestRefused
        As `accept` raises it, or the key was used with other bytes or another checkpoint (409).
    """
    identity = checkpoint_asked(checkpoint)
    with ingest(chunks) as stored:
        assert isinstance(owner, User)
        # One upload of an owner at a time: of two equal ones the second finds the first.
        # (Without the key's lock, so that rows that name this owner may still be made.)
        get_user_model().objects.select_for_update(no_key=True).get(pk=owner.pk)
        if past := _answered(stored, owner, key, identity):
            return past
        known = None if again else Analysis.objects.known(owner, stored.sha256, identity)
        lane = Lane.INTERACTIVE
        analysis = known or enter(stored, name=name, owner=owner, lane=lane, checkpoint=identity)
        accepted = Accepted(analysis, duplicate=known is not None)
        if key:
            facts = {"sha256": stored.sha256, "analysis": analysis, "duplicate": accepted.duplicate}
            IdempotencyKey.objects.create(owner=owner, key=key, **facts)
        return accepted


def enter(
    stored: Stored, *, name: str, owner: Owner, lane: Lane, checkpoint: str, folder: str = ""
) -> Analysis:
    """Create the clip and the analysis of stored bytes; call it inside `ingest`.

    Identical bytes of the same owner are stored once.

    Parameters
    ----------
    name : str
        Label of the file's name, see `ml.file_names`.
    checkpoint : str
        Identity, or "" for the default.
    folder : str
        Where the file is inside the folder of its batch.

    Raises
    ------
    RequestRefused
        The owner's quota is exceeded (429).
    """
    assert isinstance(owner, User)
    if too_much := quotas.reached(owner, stored.size_bytes):
        raise RequestRefused(too_much, status=429)
    # Locked, so that this upload and a deletion of the same bytes do not miss each other.
    twins = Clip.objects.filter(owner=owner, sha256=stored.sha256)
    twin = twins.select_for_update().only("file_key").first()
    stored.used = twin is None
    clip = Clip.objects.create(
        owner=owner,
        name=name[:MAX_NAME_CHARACTERS],
        folder=folder,
        file_key=twin.file_key if twin else stored.file_key,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
    )
    analysis = Analysis.of(clip, lane=lane, checkpoint=checkpoint)
    _queue([analysis])
    return analysis


def _answered(stored: Stored, owner: Owner, key: str, checkpoint: str) -> Accepted | None:
    """Return the earlier answer to this key, if any; raise RequestRefused on a conflict."""
    rows = IdempotencyKey.objects.filter(owner=owner.pk, key=key).select_related("analysis__clip")
    if not key or not (past := rows.first()):
        return None
    # A request that names no checkpoint gets the earlier answer, whichever checkpoint it used.
    analysed = Analysis.objects.filter(pk=past.analysis_id)
    other = "file" if past.sha256 != stored.sha256 else ""
    if checkpoint and not other and not analysed.answering(checkpoint).exists():
        other = "checkpoint"
    if other:
        raise refusal(
            "key_reused",
            f"This Idempotency-Key was already used with another {other}.",
            f"Use a new key for a new {other}.",
            status=409,
        )
    return Accepted(past.analysis, past.duplicate, replayed=True)


def analyse_again(clip: Clip, lane: Lane = Lane.INTERACTIVE, checkpoint: str = "") -> Analysis:
    """Return a new analysis of a known clip, or its unfinished one by the same checkpoint.

    Batches that contain the clip, have no result for it and did not request another checkpoint
    get the new analysis, and are not finished until it is; a result that a batch already has stays.

    Parameters
    ----------
    checkpoint : str
        Name or identity; "" means the default.

    Raises
    ------
    RequestRefused
        No such checkpoint is offered.
    """
    identity = checkpoint_asked(checkpoint)
    with transaction.atomic():
        clip = Clip.objects.select_for_update().get(pk=clip.pk)
        return queue_analyses([clip.pk], lane, identity)[0]


def queue_analyses(clips: Sequence[Any], lane: Lane, checkpoint: str) -> list[Analysis]:
    """Do the same as `analyse_again` for clips that still exist, given by their keys.

    Parameters
    ----------
    checkpoint : str
        Identity, or "" for the default; it may have been removed since.

    Returns
    -------
    list of Analysis
        One for each clip that still exists.
    """
    with transaction.atomic():
        # Locked, so that a second request finds the first one's analyses. All clips before the
        # batches, and in this order, like every transaction that locks several rows.
        rows = Clip.objects.filter(pk__in=clips).order_by("pk")
        found = list(rows.select_for_update().prefetch_related("tags"))
        active = Analysis.objects.filter(clip__in=found, state__in=UNFINISHED)
        queued = {analysis.clip_id: analysis for analysis in active.answering(checkpoint)}
        new = [
            Analysis.of(
                clip,
                lane=lane,
                checkpoint=checkpoint,
                clip_tags=tag_words(tag.pk for tag in clip.tags.all()),
            )
            for clip in found
            if clip.pk not in queued
        ]
        _queue(new)
        queued |= {analysis.clip_id: analysis for analysis in new}
        _replace(BatchFile.objects.without_result(found, checkpoint), queued)
    return list(queued.values())


def _replace(files: QuerySet[BatchFile], queued: Mapping[Any, Analysis]) -> None:
    """Give files in batches the analyses of their clips."""
    changed = list(files.select_related("analysis").only("pk", "analysis__clip"))
    for file in changed:
        assert file.analysis
        file.analysis = queued[file.analysis.clip_id]
    BatchFile.objects.bulk_update(changed, ["analysis"])
    Batch.objects.resume([file.analysis_id for file in changed])


def _queue(analyses: Sequence[Analysis]) -> None:
    """Save new analyses, and wake workers for them after the commit."""
    Analysis.objects.bulk_create(analyses)
    for analysis in analyses[::CLIPS_PER_MESSAGE]:
        _wake_for(analysis)


def _wake_for(analysis: Analysis) -> None:
    # Robust: without the broker the upload is still accepted; the sweep sends the message later.
    # (A lambda, because Django names the failed hook in its log, and a partial has no name.)
    transaction.on_commit(lambda: dispatch_analysis(analysis.pk, analysis.lane), robust=True)


def _store(chunks: Iterable[bytes]) -> Stored:
    """Write the bytes to the disk. If it raises, for example RequestRefused, no file remains."""
    if not storage.has_room():
        raise RequestRefused(NO_ROOM, status=507)
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
            raise RequestRefused(NO_ROOM, status=507) from error
        raise
    return Stored(file_key, size_bytes, sha256)


def _write(chunks: Iterable[bytes], path: Path) -> tuple[int, str]:
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > settings.MAX_UPLOAD_BYTES:
                raise too_large()
            digest.update(chunk)
            file.write(chunk)
        if not size_bytes:
            raise RequestRefused(EMPTY)
        file.flush()
        os.fsync(file.fileno())
    return size_bytes, digest.hexdigest()
