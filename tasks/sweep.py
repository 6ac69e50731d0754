"""The loop that lets nothing be forgotten: `python -m tasks`.

Expired leases go back to the queue, waiting rows get a wake-up message when the queue is empty,
files that no row knows are removed, inspections that nobody asks for any more, and clips that are
older than they may be.
"""

import logging
import os
import time
from collections.abc import Iterable
from itertools import cycle
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from kombu.exceptions import OperationalError

from classifier.models import MAX_UNSEEN, Analysis, Inspection, Lane
from classifier.services import deletion
from classifier.services.dispatch import dispatch_analysis, dispatch_inspection, queued_messages

logger = logging.getLogger(__name__)

# More wake-up messages than workers could use at once would only pile up.
MAX_MESSAGES = 16
# Inspections, and clips, in one pass, so that none takes long.
MAX_REMOVED = 200


def sweep(shard: str) -> None:
    """One pass; `shard` names the folders it tidies, so that no pass takes long."""
    freed = return_expired()
    if freed:
        logger.info("%d interrupted analyses and inspections were returned", freed)
    dispatch_waiting()
    deletion.remove_unused_inspections(MAX_REMOVED)
    deletion.remove_aged(MAX_REMOVED)
    deletion.remove_orphans(shard)


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
