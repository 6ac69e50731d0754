"""The loop that lets nothing be forgotten: `python -m tasks.sweep`.

Expired leases go back to the queue, waiting rows get a nudge when the queue is empty,
files that no row knows are removed.
"""

import logging
import os
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import django
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

# More nudges than workers could use at once would only pile up.
MOST_NUDGES = 16
ORPHAN_AGE_S = 3600


def sweep(shard: str) -> None:
    """One pass; `shard` names the folders it tidies, so that no pass takes long."""
    freed = return_expired()
    if freed:
        logger.info("%d interrupted analyses were returned", freed)
    nudge_waiting()
    remove_orphans(shard)


def return_expired() -> int:
    from classifier.models import Analysis

    return Analysis.objects.expired().give_back()


def nudge_waiting() -> int:
    """Wake workers for rows that wait while their queue is empty. Returns how many nudges."""
    from classifier.models import Analysis, Lane
    from classifier.nudge import nudge, queued_messages

    sent = 0
    for lane in Lane:
        waiting = Analysis.objects.waiting().filter(lane=lane).values_list("pk", flat=True)
        rows = list(waiting[:MOST_NUDGES])
        if rows and queued_messages(lane) == 0:
            for pk in rows:
                nudge(pk, lane)
            sent += len(rows)
    return sent


def remove_orphans(shard: str) -> int:
    """Remove files and folders over an hour old that no row knows. Returns how many."""
    from classifier import files
    from classifier.models import Analysis, Clip

    removed = 0
    for path in _aged(files.root() / files.CLIPS / shard):
        if not Clip.objects.filter(file_key=path.name).exists():
            path.unlink(missing_ok=True)
            removed += 1
    for path in _aged(files.root() / files.ANALYSES / shard):
        pk, _, token = path.name.rpartition("-")
        if not Analysis.objects.filter(pk=pk, token=token).exists():
            files.remove_folder(path)
            removed += 1
    for path in _aged(files.root() / files.INCOMING):
        path.unlink(missing_ok=True)
        removed += 1
    return removed


def _aged(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for entry in list(os.scandir(folder)):
        if time.time() - entry.stat().st_mtime > ORPHAN_AGE_S:
            yield Path(entry.path)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    django.setup()
    # Should whoever started it die without a word, it ends as well.
    parent = os.getppid()
    for number in cycle(range(256)):
        if os.getppid() != parent:
            return
        close_old_connections()
        try:
            sweep(f"{number:02x}")
        except (OperationalError, DatabaseError, OSError) as error:
            logger.warning("this pass was cut short, the next one will do: %s", error)
        time.sleep(settings.SWEEP_EVERY_S)


if __name__ == "__main__":
    main()
