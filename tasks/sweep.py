"""The loop that lets nothing be forgotten: `python -m tasks`.

Expired leases go back to the queue, waiting rows get a wake-up message when the queue is empty,
files that no row knows are removed, inspections that nobody asks for any more, and clips that are
older than they may be.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django.db.models import QuerySet
from kombu.exceptions import OperationalError

from classifier import storage
from classifier.models import MAX_UNSEEN, Analysis, Clip, Inspection, Lane
from classifier.services import deletion, inspections
from classifier.services.dispatch import dispatch_analysis, dispatch_inspection, queued_messages

logger = logging.getLogger(__name__)

# More wake-up messages than workers could use at once would only pile up.
MAX_MESSAGES = 16
ORPHAN_AGE_S = 3600
# Inspections, and clips, in one pass, so that none takes long.
MAX_REMOVED = 200
# Names in one query; SQLite takes a limited number of parameters.
QUERY_NAMES = 500


def sweep(shard: str) -> None:
    """One pass; `shard` names the folders it tidies, so that no pass takes long."""
    freed = return_expired()
    if freed:
        logger.info("%d interrupted analyses and inspections were returned", freed)
    dispatch_waiting()
    inspections.remove_unused(MAX_REMOVED)
    deletion.remove_aged(MAX_REMOVED)
    remove_orphans(shard)


def return_expired() -> int:
    """What was held by workers that are gone without a word."""
    analyses = Analysis.objects.expired().give_back(most=MAX_UNSEEN)
    return analyses + Inspection.objects.expired().give_back(most=MAX_UNSEEN)


def dispatch_waiting() -> int:
    """Wake workers for rows that wait while their queue is empty. Returns how many messages."""
    sent = 0
    for lane in Lane:
        clips = Analysis.objects.waiting().filter(lane=lane).values_list("pk", flat=True)
        rows = list(clips[:MAX_MESSAGES])
        looks = list(_waiting_inspections(lane))
        if (rows or looks) and queued_messages(lane) == 0:
            for pk in rows:
                dispatch_analysis(pk, lane)
            for pk in looks:
                dispatch_inspection(pk)
            sent += len(rows) + len(looks)
    return sent


def _waiting_inspections(lane: int) -> Iterable[UUID]:
    """They have no lane of their own: they wait among the single clips."""
    if lane != Lane.INTERACTIVE:
        return ()
    return Inspection.objects.waiting().values_list("pk", flat=True)[:MAX_MESSAGES]


def remove_orphans(shard: str) -> int:
    """Remove files and folders over an hour old that no row knows. Returns how many."""
    orphans = [
        *_unknown(_aged(storage.root() / storage.CLIPS / shard), _known_clips),
        *_unknown(_aged(storage.root() / storage.ANALYSES / shard), _known_analyses),
        *_unknown(_aged(storage.root() / storage.INSPECTIONS / shard), _known_inspections),
        *_aged(storage.root() / storage.INCOMING),
    ]
    for path in orphans:
        if path.is_dir():
            storage.remove_folder(path)
        else:
            path.unlink(missing_ok=True)
    return len(orphans)


def _unknown(paths: list[Path], known: Callable[[list[str]], set[str]]) -> list[Path]:
    """Those whose names `known` does not give back, asked in batches."""
    names = {path.name: path for path in paths}
    for first in range(0, len(paths), QUERY_NAMES):
        for name in known([path.name for path in paths[first : first + QUERY_NAMES]]):
            del names[name]
    return list(names.values())


def _known_clips(names: list[str]) -> set[str]:
    return set(Clip.objects.filter(file_key__in=names).values_list("file_key", flat=True))


def _known_analyses(names: list[str]) -> set[str]:
    return _known_folders(Analysis.objects.all(), names)


def _known_inspections(names: list[str]) -> set[str]:
    return _known_folders(Inspection.objects.all(), names)


def _known_folders(rows: QuerySet[Any], names: list[str]) -> set[str]:
    """A folder is `<id>-<token>`; the token alone finds its few rows."""
    tokens = {name.rpartition("-")[2] for name in names}
    found = rows.filter(token__in=tokens).values_list("pk", "token")
    return {f"{pk}-{token}" for pk, token in found} & set(names)


def _aged(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    oldest = time.time() - ORPHAN_AGE_S
    return [Path(entry.path) for entry in os.scandir(folder) if entry.stat().st_mtime < oldest]


def note_pass() -> None:
    """`manage.py doctor` looks at how old this file is."""
    settings.SWEEP_MARK.parent.mkdir(parents=True, exist_ok=True)
    settings.SWEEP_MARK.touch()


def loop() -> None:
    # Should whoever started it die without a word, it ends as well.
    parent = os.getppid()
    for number in cycle(range(256)):
        if os.getppid() != parent:
            return
        close_old_connections()
        try:
            sweep(f"{number:02x}")
            note_pass()
        except (OperationalError, DatabaseError, OSError) as error:
            logger.warning("this pass was cut short, the next one will do: %s", error)
        time.sleep(settings.SWEEP_EVERY_S)
