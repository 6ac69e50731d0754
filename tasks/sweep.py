"""The loop that lets nothing be forgotten: `python -m tasks`.

Expired leases go back to the queue, waiting rows get a nudge when the queue is empty,
files that no row knows are removed, studies that nobody asks for any more, and clips that are
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
from classifier.models import MOST_UNSEEN, Analysis, Clip, Lane, Study
from classifier.services import deletion, inspections
from classifier.services.dispatch import nudge, nudge_study, queued_messages

logger = logging.getLogger(__name__)

# More nudges than workers could use at once would only pile up.
MOST_NUDGES = 16
ORPHAN_AGE_S = 3600
# Studies, and clips, in one pass, so that none takes long.
MOST_REMOVED = 200
# Names in one query; SQLite takes a limited number of parameters.
QUERY_NAMES = 500


def sweep(shard: str) -> None:
    """One pass; `shard` names the folders it tidies, so that no pass takes long."""
    freed = return_expired()
    if freed:
        logger.info("%d interrupted analyses and studies were returned", freed)
    nudge_waiting()
    inspections.remove_unused(MOST_REMOVED)
    deletion.remove_aged(MOST_REMOVED)
    remove_orphans(shard)


def return_expired() -> int:
    """What was held by workers that are gone without a word."""
    analyses = Analysis.objects.expired().give_back(most=MOST_UNSEEN)
    return analyses + Study.objects.expired().give_back(most=MOST_UNSEEN)


def nudge_waiting() -> int:
    """Wake workers for rows that wait while their queue is empty. Returns how many nudges."""
    sent = 0
    for lane in Lane:
        clips = Analysis.objects.waiting().filter(lane=lane).values_list("pk", flat=True)
        rows = list(clips[:MOST_NUDGES])
        looks = list(_waiting_studies(lane))
        if (rows or looks) and queued_messages(lane) == 0:
            for pk in rows:
                nudge(pk, lane)
            for pk in looks:
                nudge_study(pk)
            sent += len(rows) + len(looks)
    return sent


def _waiting_studies(lane: int) -> Iterable[UUID]:
    """They have no lane of their own: they wait among the single clips."""
    if lane != Lane.INTERACTIVE:
        return ()
    return Study.objects.waiting().values_list("pk", flat=True)[:MOST_NUDGES]


def remove_orphans(shard: str) -> int:
    """Remove files and folders over an hour old that no row knows. Returns how many."""
    orphans = [
        *_unknown(_aged(storage.root() / storage.CLIPS / shard), _known_clips),
        *_unknown(_aged(storage.root() / storage.ANALYSES / shard), _known_analyses),
        *_unknown(_aged(storage.root() / storage.STUDIES / shard), _known_studies),
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


def _known_studies(names: list[str]) -> set[str]:
    return _known_folders(Study.objects.all(), names)


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
