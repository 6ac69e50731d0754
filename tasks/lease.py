"""Hold the lease of claimed jobs while they are worked on, and return them if the work fails.

A thread renews the lease, because one forward pass may take longer than a lease on a busy machine.
Work that hangs is ended by the task's time limit, and a process that dies renews nothing.

Tasks run in one child of the worker. When the child dies in the middle of a chunk, Celery starts
another. The token of the chunk is in memory that all children share, so the new child returns the
chunk at once, which counts as an attempt of a job that was alone. When the whole worker is killed,
the sweep finds the rows when their lease expires.
"""

import logging
import mmap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from celery.signals import worker_init, worker_process_init
from django.conf import settings
from django.db import DatabaseError, connection

from classifier import storage
from classifier.models import LEASED_MODELS, LeasedJob

logger = logging.getLogger(__name__)

# Renewals in the duration of a lease, so that one may be late.
RENEWALS = 4
TOKEN_BYTES = 32
NO_TOKEN = bytes(TOKEN_BYTES)

_shared_token = mmap.mmap(-1, TOKEN_BYTES)


@contextmanager
def lease(jobs: Sequence[LeasedJob]) -> Iterator[None]:
    """Hold the claimed `jobs` during the block.

    An exception in the block is logged, not raised, and returns the jobs to the queue. It counts
    as an attempt, unless the disk is full; a job without attempts left fails.
    """
    held = type(jobs[0]).objects.held(jobs[0].token)
    try:
        with _heartbeat(jobs[0]):
            yield
    except Exception as error:
        logger.exception("a chunk of %d jobs could not be finished", len(jobs))
        if isinstance(error, OSError) and storage.is_full(error):
            held.requeue_uncounted(jobs)
        else:
            held.requeue_or_fail()


@contextmanager
def _heartbeat(job: LeasedJob) -> Iterator[None]:
    """Renew the lease during the block, and store its token for the next child."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(settings.LEASE_S / RENEWALS):
            try:
                type(job).objects.renew(job.token)
            except DatabaseError as error:
                logger.warning("a lease could not be renewed: %s", error)
        connection.close()

    _shared_token[:] = job.token.encode()
    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _shared_token[:] = NO_TOKEN


@worker_init.connect
def allocate(**_: object) -> None:
    """Allocate shared memory for this worker, separate from others of the same parent."""
    global _shared_token
    _shared_token = mmap.mmap(-1, TOKEN_BYTES)


@worker_process_init.connect
def recover(**_: object) -> None:
    """Return the jobs that the previous child held when it died."""
    token = _shared_token[:]
    if token == NO_TOKEN:
        return
    _shared_token[:] = NO_TOKEN
    try:
        freed = sum(model.objects.held(token.decode()).requeue_or_fail() for model in LEASED_MODELS)
        logger.error(
            "a worker process died; %d of its jobs were returned to the queue or failed", freed
        )
    except DatabaseError as error:
        logger.warning(
            "the jobs of a dead process could not be returned; the sweep will: %s", error
        )
