"""Delete clips, analyses, batches, accounts, expired data and orphaned files.

Rows are deleted first, in a transaction, then their files. Files left by an interrupted deletion
are orphans.
"""

import os
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from pathlib import Path

from axes.utils import reset
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Exists, Min, OuterRef, QuerySet
from django.utils import timezone

from classifier import storage
from classifier.models import (
    UNFINISHED,
    Analysis,
    ApiToken,
    Batch,
    BatchFile,
    Clip,
    FileOutcome,
    Inspection,
    LeasedJob,
    Owner,
    SavedFilter,
    State,
    Tag,
)
from classifier.services import notes
from classifier.services.batches import locked
from classifier.services.inspections import DAYS_KEPT

# Clips deleted in one transaction, so that no other request waits long for the database.
CLIPS_AT_ONCE = 500
ORPHAN_AGE_S = 3600
# Names in one query; SQLite limits the number of parameters.
QUERY_NAMES = 500


# --- clips and analyses -------------------------------------------------------------------


def delete_clip(clip: Clip) -> None:
    """Delete the clip, its analyses and their files; bytes shared with other clips stay."""
    delete_clips(Clip.objects.filter(pk=clip.pk))


def delete_clips(clips: QuerySet[Clip]) -> None:
    """Delete several clips like `delete_clip`, in one transaction, then tags without clips.

    Only clips that are still in `clips` once they are locked are deleted.
    """
    with transaction.atomic():
        asked = dict(clips.values_list("pk", "file_key"))
        # Lock the analyses, so that no new row refers to one that is deleted. Analyses before
        # clips, which is the order of a worker that saves.
        runs = Analysis.objects.filter(clip__in=list(asked)).order_by("pk")
        list(runs.select_for_update().values_list("pk"))
        # Of two concurrent deletions, the last one removes the shared bytes.
        twins = Clip.objects.filter(file_key__in=set(asked.values())).order_by("pk")
        list(twins.select_for_update().values_list("pk"))
        going = dict(clips.filter(pk__in=list(asked)).values_list("pk", "file_key"))
        # A worker that is still writing removes its own files when it finds the row gone.
        analysed = Analysis.objects.filter(clip__in=list(going)).exclude(token="")
        analysed = analysed.exclude(state=State.RUNNING)
        folders = [storage.analysis_folder(*row) for row in analysed.values_list("pk", "token")]
        folders += _locked_folders(Inspection.objects.filter(analysis__clip__in=list(going)))
        tagged = set(Tag.objects.filter(clips__in=list(going)).values_list("owner", flat=True))
        Clip.objects.filter(pk__in=list(going)).delete()
        unused = set(going.values()) - set(twins.values_list("file_key", flat=True))
    storage.remove_folders(folders)
    for file_key in unused:
        storage.clip_path(file_key).unlink(missing_ok=True)
    # In transactions of their own: notes are locked in another order.
    for owner in tagged:
        notes.delete_unused(owner)


def delete_analysis(analysis: Analysis) -> None:
    """Delete one analysis, its inspections and all their files; the clip stays."""
    with transaction.atomic():
        # Locked, so that no inspection is requested meanwhile.
        list(Analysis.objects.filter(pk=analysis.pk).select_for_update().values_list("pk"))
        folders = [analysis.folder]
        folders += _locked_folders(Inspection.objects.filter(analysis=analysis))
        analysis.delete()
    storage.remove_folders(folders)


def _locked_folders(inspections: QuerySet[Inspection]) -> list[Path]:
    """Lock inspections that this transaction will delete, and return their folders.

    The folder of a running inspection is left out: its worker finds the row gone and removes it.
    """
    rows = inspections.order_by("pk").select_for_update(of=("self",))
    return [
        storage.inspection_folder(pk, token)
        for pk, token, state in rows.values_list("pk", "token", "state")
        if token and state != State.RUNNING
    ]


def _delete_all(clips: QuerySet[Clip]) -> None:
    while some := list(clips.values_list("pk", flat=True)[:CLIPS_AT_ONCE]):
        delete_clips(clips.filter(pk__in=some))


# --- batches ------------------------------------------------------------------------------


def delete_batch(batch: Batch) -> None:
    """Delete the batch, its clips, their analyses and files.

    Clips that are also in another batch stay and belong to that batch from now on. If the deletion
    is interrupted, a second call continues it.

    Raises
    ------
    RequestRefused
        The batch was already deleted (409).
    """
    with transaction.atomic():
        # Closed, so that no file is added; cancelled, so that no worker starts useless work.
        locked(batch)
        now = timezone.now()
        Batch.objects.filter(pk=batch.pk).update(closed_at=now, cancelled_at=now)
        Analysis.objects.filter(clip__in=_only_here(batch).values("pk")).cancel()
    _delete_all(_only_here(batch))
    with transaction.atomic():
        _hand_over(batch)
        batch.delete()


def _only_here(batch: Batch) -> QuerySet[Clip]:
    """Return the clips that were uploaded through the batch and are in no other."""
    own = batch.files.filter(outcome=FileOutcome.ACCEPTED).values("analysis__clip")
    others = BatchFile.objects.filter(analysis__clip=OuterRef("pk")).exclude(batch=batch)
    return Clip.objects.filter(~Exists(others), pk__in=own)


def _hand_over(batch: Batch) -> None:
    """Let the first duplicate row in another batch own each clip that stays."""
    own = batch.files.filter(outcome=FileOutcome.ACCEPTED).values("analysis__clip")
    theirs = BatchFile.objects.filter(analysis__clip__in=own).exclude(batch=batch)
    first = theirs.values("analysis__clip").annotate(first=Min("pk")).values("first")
    BatchFile.objects.filter(pk__in=first).update(outcome=FileOutcome.ACCEPTED)
    Batch.objects.resume(theirs.filter(analysis__state__in=UNFINISHED).values("analysis"))


# --- accounts -----------------------------------------------------------------------------


def is_last_superuser(user: Owner) -> bool:
    """Whether this user is the only active superuser."""
    assert isinstance(user, User)
    others = get_user_model().objects.filter(is_superuser=True, is_active=True).exclude(pk=user.pk)
    return user.is_superuser and not others.exists()


def delete_account(user: User) -> None:
    """Delete a user and their clips, analyses, batches, inspections, tokens, sessions and files.

    The account cannot sign in from the start of the deletion on. If the deletion is interrupted,
    a second call continues it.
    """
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    ApiToken.objects.filter(user=user).delete()
    _end_sessions(user)
    _delete_all(Clip.objects.filter(owner=user))
    reset(username=user.get_username())
    user.delete()


def delete_data(user: User) -> None:
    """Delete a user's clips, analyses, batches, inspections, tags, saved filters and files.

    The account and its tokens stay, and so does what is uploaded after the start. If the deletion
    is interrupted, a second call continues it.
    """
    now = timezone.now()
    batches = Batch.objects.filter(owner=user, created_at__lte=now)
    # As in `delete_batch`, so that no file is added and no worker starts useless work.
    batches.update(closed_at=now, cancelled_at=now)
    clips = Clip.objects.filter(owner=user, created_at__lte=timezone.now())
    Analysis.objects.filter(clip__in=clips.values("pk")).cancel()
    _delete_all(clips)
    for batch in batches:
        batch.delete()
    Tag.objects.filter(owner=user, clips=None).delete()
    SavedFilter.objects.filter(owner=user).delete()


def _end_sessions(user: User) -> None:
    """Delete the user's sessions. A session's owner is inside its data, so each one is decoded."""
    theirs = [
        session.pk
        for session in Session.objects.iterator()
        if session.get_decoded().get("_auth_user_id") == str(user.pk)
    ]
    Session.objects.filter(pk__in=theirs).delete()


# --- removed by the sweep -----------------------------------------------------------------


def remove_aged(limit: int) -> int:
    """Remove clips older than KEEP_DAYS days, and batches of that age that have no files left.

    A clip with an unfinished analysis stays.

    Parameters
    ----------
    limit : int
        Remove at most this many clips.

    Returns
    -------
    int
        The number of removed clips.
    """
    if not settings.KEEP_DAYS:
        return 0
    oldest = timezone.now() - timedelta(days=settings.KEEP_DAYS)
    active = Analysis.objects.filter(clip=OuterRef("pk"), state__in=UNFINISHED)
    aged = Clip.objects.filter(~Exists(active), created_at__lt=oldest)
    some = list(aged.order_by("created_at").values_list("pk", flat=True)[:limit])
    if some:
        delete_clips(aged.filter(pk__in=some))
    Batch.objects.filter(created_at__lt=oldest, files=None).delete()
    return len(some)


def remove_unused_inspections(limit: int) -> int:
    """Remove inspections that were not requested for `DAYS_KEPT` days.

    Parameters
    ----------
    limit : int
        Remove at most this many.

    Returns
    -------
    int
        The number of removed inspections.
    """
    with transaction.atomic():
        unused = Inspection.objects.unused(DAYS_KEPT)
        rows = unused.select_for_update(skip_locked=True, of=("self",))
        old = Inspection.objects.filter(pk__in=list(rows.values_list("pk", flat=True)[:limit]))
        folders = _locked_folders(old)
        removed, _ = old.delete()
    storage.remove_folders(folders)
    return removed


def remove_orphans(shard: str) -> int:
    """Remove files and folders over an hour old that no row refers to.

    Parameters
    ----------
    shard : str
        First two characters of the names to check; incoming uploads are always checked.

    Returns
    -------
    int
        The number of removed files and folders.
    """
    root = storage.root()
    orphans = [
        *_aged(root / storage.INCOMING),
        *_unknown(_aged(root / storage.CLIPS / shard), _known_clips),
        *_unknown(_aged(root / storage.ANALYSES / shard), partial(_known_folders, Analysis)),
        *_unknown(_aged(root / storage.INSPECTIONS / shard), partial(_known_folders, Inspection)),
    ]
    for path in orphans:
        if path.is_dir():
            storage.remove_folder(path)
        else:
            path.unlink(missing_ok=True)
    return len(orphans)


def _aged(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    oldest = time.time() - ORPHAN_AGE_S
    return [Path(entry.path) for entry in os.scandir(folder) if entry.stat().st_mtime < oldest]


def _unknown(paths: list[Path], known: Callable[[list[str]], Iterable[str]]) -> list[Path]:
    """Return the paths whose names `known` does not return. Names are queried in groups."""
    unknown = {path.name: path for path in paths}
    names = list(unknown)
    for first in range(0, len(names), QUERY_NAMES):
        for name in known(names[first : first + QUERY_NAMES]):
            unknown.pop(name, None)
    return list(unknown.values())


def _known_clips(names: list[str]) -> Iterable[str]:
    return Clip.objects.filter(file_key__in=names).values_list("file_key", flat=True)


def _known_folders(model: type[LeasedJob], names: list[str]) -> Iterable[str]:
    """Return the names that belong to a row that is done, or that a worker holds.

    A name is `<id>-<token>`; rows are found by token.
    """
    tokens = {name.rpartition("-")[2] for name in names}
    rows = model.objects.filter(token__in=tokens, state__in=(State.RUNNING, State.DONE))
    found = rows.values_list("pk", "token")
    return (f"{pk}-{token}" for pk, token in found)
