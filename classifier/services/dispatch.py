"""Wake a worker. The web process refers to tasks by name only."""

import time
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from celery import Celery
from django.utils import timezone
from kombu.exceptions import OperationalError

from classifier.models import Analysis, Lane, State
from classifier.services.problems import NO_WORKER
from ml.errors import Problem

# A shorter wait is normal and needs no explanation.
PATIENCE_S = 5
PING_EVERY_S = 10
# Enough to wake every worker: each message starts up to 64 clips, and the next message.
MAX_BULK_MESSAGES = 16

sender = Celery("sonoscope", set_as_current=False)
sender.config_from_object("django.conf:settings", namespace="CELERY")
# A user waits for this: without the broker it gives up quickly, and the sweep sends it later.
sender.conf.broker_transport_options = {
    **sender.conf.broker_transport_options,
    "socket_timeout": 3,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.1,
}


def dispatch_analysis(analysis_id: UUID, lane: int) -> None:
    """Send a message to the queue of the lane, unless enough bulk messages wait there already.

    Raises
    ------
    kombu.exceptions.OperationalError
        The broker is not responding.
    """
    if lane == Lane.BULK and queued_messages(lane) >= MAX_BULK_MESSAGES:
        return
    sender.send_task("tasks.analyse", [str(analysis_id)], queue=Lane(lane).label, retry=False)


def dispatch_inspection(inspection_id: UUID) -> None:
    """Send a message for an inspection to the interactive queue, where single clips wait too.

    Raises
    ------
    kombu.exceptions.OperationalError
        The broker is not responding.
    """
    queue = Lane.INTERACTIVE.label
    sender.send_task("tasks.inspect", [str(inspection_id)], queue=queue, retry=False)


def queued_messages(lane: int) -> int:
    """Return the number of messages in the lane that no worker has taken yet.

    Raises
    ------
    kombu.exceptions.OperationalError
        The broker is not responding.
    """
    with sender.connection_or_acquire() as connection:
        try:
            channel: Any = connection.default_channel
            return channel.queue_declare(Lane(lane).label).message_count
        except connection.connection_errors as error:
            raise OperationalError(str(error)) from error


def missing_worker(unfinished: object, since: datetime) -> Problem | None:
    """Return the problem if no worker is responding and no analysis is held under a lease.

    Pages and clients poll, so workers are pinged at most every `PING_EVERY_S` seconds.

    Parameters
    ----------
    unfinished : object
        Whether anything is unfinished; if not, the result is None.
    since : datetime
        When it was queued; for the first `PATIENCE_S` seconds the result is None.
    """
    now = timezone.now()
    if not unfinished or now - since < timedelta(seconds=PATIENCE_S):
        return None
    if _worker_answers(int(time.monotonic() // PING_EVERY_S)):
        return None
    held = Analysis.objects.filter(state=State.RUNNING, leased_until__gt=now)
    return None if held.exists() else NO_WORKER


@lru_cache(maxsize=1)
def _worker_answers(tick: int) -> bool:
    """Ping the workers once for each `tick`."""
    try:
        return bool(sender.control.ping(limit=1, timeout=1))
    except (OperationalError, OSError):
        return False
