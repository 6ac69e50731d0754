"""Is it alive, and can it do its work? For load balancers and people with a terminal."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.staticfiles.storage import staticfiles_storage
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from classifier.models import Analysis, Lane
from classifier.monitoring import checks
from classifier.monitoring.precision import DAYS, recomputed_windows
from classifier.services.dispatch import queued_messages, sender

# Everybody may ask, so the answer is made at most this often.
KEPT_S = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    ok: bool
    detail: str


@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is asked."""
    return _json({"status": "alive"}, 200)


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """503 while something that a new upload needs is missing."""
    checks = _checks()
    fine = all(check.ok for check in checks.values())
    payload = {name: {"ok": check.ok, "detail": check.detail} for name, check in checks.items()}
    return _json(
        {"status": "ready" if fine else "not ready", "checks": payload}, 200 if fine else 503
    )


_lock = threading.Lock()
_last: tuple[float, dict[str, Check]] | None = None


def _checks() -> dict[str, Check]:
    global _last
    with _lock:
        if _last is None or time.monotonic() - _last[0] > KEPT_S:
            found = {"database": _database(), "broker": _broker()}
            found["worker"] = _worker() if found["broker"].ok else Check(False, "not asked")
            found["checkpoint"] = _checkpoint()
            found["static"] = _static()
            found["precision"] = _precision()
            _last = time.monotonic(), found
        return _last[1]


def _database() -> Check:
    def ask() -> str:
        # The newest table: it is there only when every migration ran.
        Analysis.objects.only("pk").first()
        return connection.vendor

    return _tried(ask, DatabaseError)


def _broker() -> Check:
    return _tried(
        lambda: f"{sum(queued_messages(lane) for lane in Lane)} messages wait",
        OperationalError,
        OSError,
    )


def _worker() -> Check:
    def ask() -> str:
        answered = sender.control.ping(limit=1, timeout=1)
        if not answered:
            raise OperationalError("none answered within a second")
        return "one answered"

    return _tried(ask, OperationalError, OSError)


def _checkpoint() -> Check:
    finding = checks.checkpoint()
    # The address of a file is nobody's business here.
    there = finding.verdict != "wrong"
    return Check(there, "there" if there else "unusable")


def _static() -> Check:
    return _tried(lambda: staticfiles_storage.url("css/app.css"), ValueError)


def _precision() -> Check:
    """Never a reason to send uploads elsewhere: the answers are right."""
    try:
        return Check(True, f"{recomputed_windows()} windows recomputed in fp32 in {DAYS} days")
    except (RedisError, ValueError) as error:
        return Check(True, f"not counted: {type(error).__name__}")


def _tried(ask: Callable[[], str], *faults: type[Exception]) -> Check:
    try:
        return Check(True, ask())
    except faults as error:
        # By its kind only: its words may name hosts and users.
        return Check(False, type(error).__name__)


def _json(body: dict[str, object], status: int) -> HttpResponse:
    return JsonResponse(body, status=status, headers={"Cache-Control": "no-store"})
