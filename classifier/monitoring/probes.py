"""One probe per dependency, as plain facts: what they mean is for their callers to say.

A probe changes nothing, and raises what its dependency raises. The checkpoints' probe is
`checkpoints.inventory.look`, that of the shared count of recomputed windows
`precision.recomputed_windows`.
"""

import shutil
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from classifier.models import Analysis, Inspection, Lane, State
from classifier.services.dispatch import queued_messages, sender

JOBS = (Analysis, Inspection)


@dataclass(frozen=True, slots=True)
class Disk:
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The oldest waiting job. `kind`: what a person calls it."""

    kind: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Queue:
    """abandoned: kinds of jobs of which some are held by a worker that is gone."""

    abandoned: list[str]
    oldest: Waiting | None
    running: bool


def database() -> str:
    """Return the vendor. Raises DatabaseError."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return connection.vendor


def missing_migrations() -> list[str]:
    """Raises DatabaseError."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def clock_skew_s() -> float:
    """How far apart this clock and PostgreSQL's are. Raises DatabaseError."""
    with connection.cursor() as cursor:
        before = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return abs(float(cursor.fetchone()[0]) - (before + time.time()) / 2)


def messages() -> int:
    """Messages that no worker has taken. Raises kombu.exceptions.OperationalError or OSError."""
    return sum(queued_messages(lane) for lane in Lane)


def workers(timeout_s: float, limit: int | None = None) -> list[str]:
    """Names of those that answer within `timeout_s`; with `limit`, only until so many have.

    Raises kombu.exceptions.OperationalError or OSError.
    """
    answers = sender.control.ping(timeout=timeout_s, limit=limit) or []
    return sorted(name for answer in answers for name in answer)


def sweep_age_s() -> float | None:
    """Seconds since the sweep's last pass; None if it has never run here."""
    mark = Path(settings.SWEEP_MARK)
    return time.time() - mark.stat().st_mtime if mark.exists() else None


def queue(patience: timedelta) -> Queue:
    """Both kinds of jobs; one is abandoned when its lease ran out `patience` ago.

    Raises DatabaseError, also while migrations are missing.
    """
    overdue = timezone.now() - patience
    abandoned, waiting, running = [], [], False
    for job in JOBS:
        rows, name = job.objects, job._meta
        if rows.expired().filter(leased_until__lt=overdue).exists():
            abandoned.append(str(name.verbose_name_plural))
        if oldest := rows.waiting().order_by("created_at").first():
            waiting.append(Waiting(str(name.verbose_name), oldest.created_at))
        running = running or rows.filter(state=State.RUNNING).exists()
    return Queue(abandoned, min(waiting, key=lambda one: one.created_at, default=None), running)


def disk() -> Disk:
    """Of the data folder. Raises OSError."""
    usage = shutil.disk_usage(settings.DATA)
    return Disk(usage.free, usage.total)


def static_address(name: str) -> str:
    """Raises ValueError where the manifest of the collected files does not know it."""
    return staticfiles_storage.url(name)
