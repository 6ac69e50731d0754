"""Liveness and readiness, for load balancers and operators."""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.defaultfilters import pluralize
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from classifier.checkpoints import inventory
from classifier.models import Analysis
from classifier.monitoring import probes
from classifier.monitoring.precision import DAYS, recomputed_windows

# Anyone may request it, so the checks run at most this often.
KEPT_S = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    ok: bool
    detail: str


@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """Report that the process is running; nothing else is checked."""
    return _json({"status": "alive"}, 200)


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Return 503 if anything that a new upload needs is missing."""
    checks = _checks()
    fine = all(check.ok for check in checks.values())
    payload = {name: asdict(check) for name, check in checks.items()}
    status = "ready" if fine else "not ready"
    return _json({"status": status, "checks": payload}, 200 if fine else 503)


_lock = threading.Lock()
_last: tuple[float, dict[str, Check]] | None = None


def _checks() -> dict[str, Check]:
    global _last
    with _lock:
        if _last is None or time.monotonic() - _last[0] > KEPT_S:
            _last = time.monotonic(), _found()
        return _last[1]


def _found() -> dict[str, Check]:
    broker = _tried(_messages, OperationalError, OSError)
    worker = (
        _tried(_worker, OperationalError, OSError) if broker.ok else Check(False, "not checked")
    )
    # The response is public, so it does not contain the path of the file.
    checkpoint = any(one.default for one in inventory.installed())
    return {
        "database": _tried(_database, DatabaseError),
        "broker": broker,
        "worker": worker,
        "checkpoint": Check(checkpoint, "usable" if checkpoint else "not usable"),
        "static": _tried(lambda: probes.static_address("css/app.css"), ValueError),
        "precision": _precision(),
    }


def _database() -> str:
    vendor = probes.database()
    Analysis.objects.only("pk").first()  # fails unless every migration has run
    return vendor


def _messages() -> str:
    count = probes.messages()
    return f"{count} message{pluralize(count)} waiting"


def _worker() -> str:
    if not probes.workers(timeout_s=1, limit=1):
        raise OperationalError("no worker responded within a second")
    return "a worker responded"


def _precision() -> Check:
    """Report recomputed windows. They never make the server unready: the results are correct."""
    try:
        count = recomputed_windows()
        return Check(
            True, f"{count} window{pluralize(count)} recomputed in fp32 in the last {DAYS} days"
        )
    except (RedisError, ValueError) as error:
        return Check(True, f"not counted: {type(error).__name__}")


def _tried(ask: Callable[[], str], *faults: type[Exception]) -> Check:
    try:
        return Check(True, ask())
    except faults as error:
        # Only the type: the message may contain host and user names.
        return Check(False, type(error).__name__)


def _json(body: dict[str, object], status: int) -> HttpResponse:
    return JsonResponse(body, status=status, headers={"Cache-Control": "no-store"})
