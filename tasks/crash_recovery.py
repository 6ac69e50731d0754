"""What a worker's process died with: the one that takes its place says so.

Tasks run in one child of the worker. When it ends in the middle of a chunk, by a fault of its own
or the kernel's hand, Celery starts another; what was held lies in memory that all of them share,
so the new one gives it back at once, and that counts against a clip that was alone. When the
whole worker is killed nobody is left to know, and the sweep finds the rows when their lease ends:
a clip is seldom to blame for that.
"""

import logging
import mmap
from collections.abc import Iterator
from contextlib import contextmanager

from celery.signals import worker_init, worker_process_init
from django.db import DatabaseError

from classifier.models import Analysis, Inspection

logger = logging.getLogger(__name__)

TOKEN_BYTES = 32
NOTHING = bytes(TOKEN_BYTES)

_held = mmap.mmap(-1, TOKEN_BYTES)


@contextmanager
def crash_recovery(token: str) -> Iterator[None]:
    """Who dies in between is known to have died with this token."""
    _held[:] = token.encode()
    try:
        yield
    finally:
        _held[:] = NOTHING


@worker_init.connect
def begin(**_: object) -> None:
    """Memory of this worker's own, also where several were forked from one process."""
    global _held
    _held = mmap.mmap(-1, TOKEN_BYTES)


@worker_process_init.connect
def give_back(**_: object) -> None:
    """What the process before this one died with."""
    token = _held[:]
    if token == NOTHING:
        return
    _held[:] = NOTHING
    held = token.decode()
    try:
        freed = (
            Analysis.objects.held(held).give_back(),
            Inspection.objects.held(held).give_back(),
        )
        logger.error("a process died with %d analyses and %d inspections", *freed)
    except DatabaseError as error:
        logger.warning("what a process died with waits for the sweep: %s", error)
