"""Probes shared by several pages; they return plain facts that their callers interpret.

A probe changes nothing and raises what its dependency raises. The probe of the checkpoints is
`checkpoints.inventory.look`, that of the shared count of recomputed windows
`precision.recomputed_windows`.
"""

from django.contrib.staticfiles.storage import staticfiles_storage
from django.db import connection

from classifier.models import Analysis, Inspection, Lane
from classifier.services.dispatch import queued_messages, sender

JOBS = (Analysis, Inspection)


def database() -> str:
    """Return the vendor of the database.

    Raises
    ------
    DatabaseError
        The database is not responding.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return connection.vendor


def messages() -> int:
    """Return the number of messages in all lanes that no worker has taken.

    Raises
    ------
    kombu.exceptions.OperationalError
        The broker is not responding.
    """
    return sum(queued_messages(lane) for lane in Lane)


def workers(timeout_s: float, limit: int | None = None) -> list[str]:
    """Return the names of the workers that answer.

    Parameters
    ----------
    timeout_s : float
        Seconds to wait for answers.
    limit : int or None
        Stop waiting after this many answers.

    Raises
    ------
    kombu.exceptions.OperationalError or OSError
        The broker is not responding.
    """
    answers = sender.control.ping(timeout=timeout_s, limit=limit) or []
    return sorted(name for answer in answers for name in answer)


def static_address(name: str) -> str:
    """Return the URL of a static file.

    Raises
    ------
    ValueError
        The manifest of the collected files does not have the name.
    """
    return staticfiles_storage.url(name)
