"""Keeping what was claimed, for as long as the work on it takes."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError, connection

logger = logging.getLogger(__name__)

# So often in the time that a lease lasts: one may come late.
RENEWALS = 4


@contextmanager
def heartbeat(renew: Callable[[], object]) -> Iterator[None]:
    """Calls `renew` now and then from beside: on a busy machine one pass of the network may take
    longer than a lease. A process that dies or is stopped renews nothing any more; work that
    hangs is ended by the task's time limit."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(settings.LEASE_S / RENEWALS):
            try:
                renew()
            except DatabaseError as error:
                logger.warning("a lease could not be renewed: %s", error)
        connection.close()

    beside = threading.Thread(target=go_on, daemon=True)
    beside.start()
    try:
        yield
    finally:
        over.set()
        beside.join()
