"""Faults of the broker: restarted, emptied, paused, stopped."""

import signal
import time
from urllib.parse import quote

from celery import Celery

from tools.chaos.harness import Harness, Skipped

PAUSE_S = 120


def restarts(harness: Harness) -> None:
    """Stop the broker with SIGTERM or SIGKILL, at random, for up to two seconds."""
    _require_own_broker(harness)
    for _ in harness.repetitions():
        _while_working(harness)
        gracefully = harness.random.random() < 0.5
        (harness.server.stop if gracefully else harness.server.kill)("broker")
        harness.client.send()
        harness.sleep(0, 2)
        harness.server.start("broker")
    harness.expect(
        not harness.client.refused, f"uploads were refused: {dict(harness.client.refused)}"
    )


def wipes(harness: Harness) -> None:
    """Delete all messages and the list of unacknowledged ones (FLUSHDB)."""
    for _ in harness.repetitions():
        _while_working(harness)
        harness.server.broker().flushdb()


def paused(harness: Harness) -> None:
    """Pause the broker for two minutes (SIGSTOP): it accepts connections and never responds."""
    _require_own_broker(harness)
    for _ in harness.repetitions():
        _while_working(harness)
        harness.server.signal("broker", signal.SIGSTOP)
        until, sent = time.monotonic() + PAUSE_S, 0
        while time.monotonic() < until:
            sent += harness.client.send() is not None
            time.sleep(0.5)
        harness.server.signal("broker", signal.SIGCONT)
        harness.notes.append(f"{sent} uploads were accepted during the pause")
    harness.expect(
        not harness.client.refused, f"uploads were refused: {dict(harness.client.refused)}"
    )


def stopped(harness: Harness) -> None:
    """Upload clips while no broker is running."""
    _require_own_broker(harness)
    for _ in harness.repetitions():
        harness.record_injection()
        harness.server.kill("broker")
        for _ in range(10):
            harness.client.send()
        harness.server.start("broker")
        harness.drain()
    harness.expect(
        not harness.client.refused, f"uploads were refused: {dict(harness.client.refused)}"
    )


def duplicates(harness: Harness) -> None:
    """Send every message five more times to two workers, and once more when all are done."""
    harness.server.start("worker", "second")
    sender = Celery(broker=_url(harness), set_as_current=False)

    def dispatch_analysis(number: int) -> None:
        analysis = str(harness.client.accepted[number].analysis)
        sender.send_task("tasks.analyse", [analysis], queue="interactive")

    while len(harness.client.accepted) < harness.clips:
        harness.client.send(retry=True)
        number = max(harness.client.accepted)
        for _ in range(harness.times):
            dispatch_analysis(number)
    harness.record_injection()
    harness.drain()
    for number in harness.client.accepted:
        dispatch_analysis(number)
    time.sleep(10)
    harness.server.stop("second")


def _while_working(harness: Harness) -> None:
    with harness.new_claim():
        harness.fill_queue()
    harness.sleep(0, 1)
    harness.record_injection()


def _require_own_broker(harness: Harness) -> None:
    if harness.server.redis_url:
        raise Skipped("REDIS_URL names a shared broker, which must not be stopped")


def _url(harness: Harness) -> str:
    socket = quote(str(harness.server.command("socket")))
    return harness.server.redis_url or f"redis+socket://{socket}?virtual_host=0"
