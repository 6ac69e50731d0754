"""How bytes come in: page, API, command, files of a batch and members of a ZIP all use `ingest`."""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction

from classifier import storage
from classifier.checkpoints import inventory
from classifier.models import UNFINISHED, Analysis, BatchFile, Clip, IdempotencyKey, Lane, Owner
from classifier.services import quotas
from classifier.services.dispatch import dispatch_analysis
from classifier.services.problems import EMPTY, NO_ROOM, RequestRefused, refusal, too_large


@dataclass(slots=True)
class Stored:
    """Bytes on the disk. `used`: whether a clip refers to them."""

    file_key: str
    size_bytes: int
    sha256: str
    used: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """`duplicate`: the analysis is an earlier one of the same bytes. `replayed`: the key's."""

    analysis: Analysis
    duplicate: bool = False
    replayed: bool = False


@contextmanager
def ingest(chunks: Iterable[bytes]) -> Iterator[Stored]:
    """Store the bytes; the body makes their rows, in one transaction.

    Bytes that no clip refers to in the end are discarded, also when the body raises RequestRefused.
    When anything else fails they stay for the sweep: a commit whose answer was lost may have held.
    Raises RequestRefused for an empty or too large file (400, 413) and a full disk (507).
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


def checkpoint_asked(asked: str) -> str:
    """The identity of the installed checkpoint that a name or an identity means; "" stays "".

    Raises RequestRefused.
    """
    found = inventory.find(asked) if asked else None
    if asked and found is None:
        names = ", ".join(one.name for one in inventory.offered())
        raise refusal(
            "unknown_checkpoint",
            f"There is no checkpoint {asked[:120]!r} here.",
            f"Installed: {names}." if names else "None is installed that can be used.",
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
    """A new clip and its analysis, also of known bytes. Raises RequestRefused."""
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
    """As `accept`, but the same bytes, or the same key, get the same answer as before.

    Known are bytes that the checkpoint asked for has heard; `again` asks for a new analysis of
    those too. Raises RequestRefused, also for a key that came with other bytes before.
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


def enter(stored: Stored, *, name: str, owner: Owner, lane: Lane, checkpoint: str) -> Analysis:
    """The rows of stored bytes, inside `ingest`. checkpoint: an identity, or "".

    Identical bytes of the same owner are kept once. Raises RequestRefused beyond the owner's quota.
    """
    assert isinstance(owner, User)
    if too_much := quotas.reached(owner, stored.size_bytes):
        raise RequestRefused(too_much, status=429)
    # Locked, so that a deletion of the twin either sees us or is seen by us.
    twins = Clip.objects.filter(owner=owner, sha256=stored.sha256)
    twin = twins.select_for_update().only("file_key").first()
    stored.used = twin is None
    clip = Clip.objects.create(
        owner=owner,
        name=label_of(name),
        file_key=twin.file_key if twin else stored.file_key,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
    )
    return _queue(clip, lane, checkpoint)


def _answered(stored: Stored, owner: Owner, key: str, checkpoint: str) -> Accepted | None:
    """What this key was answered before."""
    rows = IdempotencyKey.objects.filter(owner=owner.pk, key=key).select_related("analysis__clip")
    if not key or not (past := rows.first()):
        return None
    # Whoever names no checkpoint now takes what the key was answered, by whichever it was.
    analysed = Analysis.objects.filter(pk=past.analysis_id)
    other = "file" if past.sha256 != stored.sha256 else ""
    if checkpoint and not other and not analysed.answering(checkpoint).exists():
        other = "checkpoint"
    if other:
        raise refusal(
            "key_reused",
            f"This Idempotency-Key came with another {other} before.",
            f"Use a new key for a new {other}.",
            status=409,
        )
    return Accepted(past.analysis, past.duplicate, replayed=True)


def analyse_again(clip: Clip, lane: Lane = Lane.INTERACTIVE, checkpoint: str = "") -> Analysis:
    """A new analysis of a known clip, or the one by this checkpoint that is already under way.

    Batches that have the clip, but no answer of it, and did not ask for another checkpoint go
    along; an answer that they have stays. Raises RequestRefused.
    """
    return queue_analysis(clip, lane, checkpoint_asked(checkpoint))


def queue_analysis(clip: Clip, lane: Lane, checkpoint: str) -> Analysis:
    """As `analyse_again`, for an identity that need not be installed any more, or ""."""
    with transaction.atomic():
        # One at a time per clip, so that a second request finds the first one's analysis.
        Clip.objects.select_for_update().get(pk=clip.pk)
        active = Analysis.objects.filter(clip=clip, state__in=UNFINISHED)
        analysis = active.answering(checkpoint).first() or _queue(clip, lane, checkpoint)
        BatchFile.objects.unheard(clip, checkpoint).update(analysis=analysis)
        return analysis


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


def _store(chunks: Iterable[bytes]) -> Stored:
    """Raises RequestRefused; then nothing is kept."""
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
