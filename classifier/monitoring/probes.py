"""Probes of what several pages ask about, as plain facts: their callers say what they mean.

A probe changes nothing, and raises what its dependency raises. The checkpoints' probe is
`checkpoints.inventory.look`, that of the shared count of recomputed windows
`precision.recomputed_windows`.
"""

from django.contrib.staticfiles.storage import staticfiles_storage
from django.db import connection

from classifier.models import Analysis, Inspection, Lane
from classifier.services.dispatch import queued_messages, sender

JOBS = (Analysis, Inspection)


def database() -> str:
    """Return the vendor. Raises DatabaseError."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return connection.vendor


def messages() -> int:
    """Messages that no worker has taken. Raises kombu.exceptions.OperationalError or OSError."""
    return sum(queued_messages(lane) for lane in Lane)


def workers(timeout_s: float, limit: int | None = None) -> list[str]:
    """Names of those that answer within `timeout_s`; with `limit`, only until so many have.

    Raises kombu.exceptions.OperationalError or OSError.
    """
    answers = sender.control.ping(timeout=timeout_s, limit=limit) or []
    return sorted(name for answer in answers for name in answer)


def static_address(name: str) -> str:
    """Raises ValueError where the manifest of the collected files does not know it."""
    return staticfiles_storage.url(name)
