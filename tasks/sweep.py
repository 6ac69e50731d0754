"""The sweep: a loop that recovers and removes what nothing else would (`python -m tasks`).

It returns jobs with an expired lease to the queue, sends a wake-up message for waiting rows when
the queue is empty, marks batches that have finished and sends the e-mails about them, and removes
files without a row, unused inspections, expired share links, clips that are older than allowed, and
old sounds of visitors.
"""

import logging
import os
import time
from collections.abc import Iterable
from functools import partial
from itertools import cycle
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django.db.models import QuerySet
from kombu.exceptions import OperationalError

from classifier.models import LEASED_MODELS, MAX_ATTEMPTS_WORKER_LOST, Analysis, Inspection, Lane
from classifier.services import batch_notices, deletion, sharing, visitors
from classifier.services.dispatch import dispatch_analysis, dispatch_inspection, queued_messages
from tasks.mail import send_due as send_due_mails

logger = logging.getLogger(__name__)

# More wake-up messages than workers could use at once would only pile up.
MAX_MESSAGES = 16
# Inspections, and clips, removed in one pass, so that no pass takes long.
MAX_REMOVED = 200


def sweep(shard: str) -> None:
    """Make one pass.

    Parameters
    ----------
    shard : two hex digits: the folders that this pass cleans, so that no pass takes long
    """
    if freed := return_expired():
        logger.info("%d interrupted jobs were returned to the queue or failed", freed)
    dispatch_waiting()
    batch_notices.mark_finished()
    send_due_mails()
    deletion.remove_unused_inspections(MAX_REMOVED)
    deletion.remove_aged(MAX_REMOVED)
    deletion.remove_orphans(shard)
    sharing.remove_expired()
    visitors.remove_old(MAX_REMOVED)


def return_expired() -> int:
    """Return the jobs of workers that are gone to the queue; return their number."""
    expired = (model.objects.expired() for model in LEASED_MODELS)
    return sum(rows.requeue_or_fail(max_attempts=MAX_ATTEMPTS_WORKER_LOST) for rows in expired)


def dispatch_waiting() -> None:
    """Wake workers for waiting rows whose queue is empty."""
    for lane in Lane:
        rows = Analysis.objects.waiting().filter(lane=lane)
        wake = [partial(dispatch_analysis, pk, lane) for pk in _first_ids(rows)]
        if lane == Lane.INTERACTIVE:
            # Inspections have no lane of their own: they wait among the single clips.
            asked = _first_ids(Inspection.objects.waiting())
            wake += [partial(dispatch_inspection, pk) for pk in asked]
        if wake and queued_messages(lane) == 0:
            for send in wake:
                send()


def _first_ids(rows: QuerySet[Any]) -> Iterable[UUID]:
    return rows.values_list("pk", flat=True)[:MAX_MESSAGES]


def loop() -> None:
    """Sweep at intervals, until the process that started this one has ended."""
    # If the parent is killed, this process must end as well.
    parent = os.getppid()
    for number in cycle(range(256)):
        if os.getppid() != parent:
            return
        close_old_connections()
        try:
            sweep(f"{number:02x}")
            # `manage.py doctor` checks the age of this file.
            settings.SWEEP_MARK.parent.mkdir(parents=True, exist_ok=True)
            settings.SWEEP_MARK.touch()
        except (OperationalError, DatabaseError, OSError) as error:
            logger.warning("the pass was interrupted; the next pass will continue: %s", error)
        time.sleep(settings.SWEEP_EVERY_S)
