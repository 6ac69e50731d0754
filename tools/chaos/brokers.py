"""Faults of the broker: restarted, wiped, standing still, away."""

import signal
import time
from urllib.parse import quote

from celery import Celery

from tools.chaos.stage import Skipped, Stage

FROZEN_S = 120


def restarts(stage: Stage) -> None:
    """SIGTERM or `kill -9`, at random, and up to two seconds without it."""
    _own(stage)
    for _ in stage.rounds():
        _at_work(stage)
        softly = stage.random.random() < 0.5
        (stage.server.stop if softly else stage.server.kill)("broker")
        stage.client.send()
        stage.sleep(0, 2)
        stage.server.start("broker")
    stage.expect(not stage.client.refused, f"uploads were refused: {dict(stage.client.refused)}")


def wipes(stage: Stage) -> None:
    """Everything in it is forgotten: messages, and what workers had taken."""
    for _ in stage.rounds():
        _at_work(stage)
        stage.server.broker().flushdb()


def frozen(stage: Stage) -> None:
    """It takes connections and answers nothing (SIGSTOP), for two minutes."""
    _own(stage)
    for _ in stage.rounds():
        _at_work(stage)
        stage.server.signal("broker", signal.SIGSTOP)
        until, sent = time.monotonic() + FROZEN_S, 0
        while time.monotonic() < until:
            sent += stage.client.send() is not None
            time.sleep(0.5)
        stage.server.signal("broker", signal.SIGCONT)
        stage.notes.append(f"{sent} uploads were accepted meanwhile")
    stage.expect(not stage.client.refused, f"uploads were refused: {dict(stage.client.refused)}")


def away(stage: Stage) -> None:
    """No broker at all while clips are uploaded."""
    _own(stage)
    for _ in stage.rounds():
        stage.strike()
        stage.server.kill("broker")
        for _ in range(10):
            stage.client.send()
        stage.server.start("broker")
        stage.drain()
    stage.expect(not stage.client.refused, f"uploads were refused: {dict(stage.client.refused)}")


def messages(stage: Stage) -> None:
    """Every message five times more, to two workers, and once more when all is done."""
    stage.server.start("worker", "second")
    sender = Celery(broker=_url(stage), set_as_current=False)

    def dispatch_analysis(number: int) -> None:
        asked = str(stage.client.accepted[number].analysis)
        sender.send_task("tasks.analyse", [asked], queue="interactive")

    while len(stage.client.accepted) < stage.clips:
        stage.client.send(patient=True)
        number = max(stage.client.accepted)
        for _ in range(stage.times):
            dispatch_analysis(number)
    stage.strike()
    stage.drain()
    for number in stage.client.accepted:
        dispatch_analysis(number)
    time.sleep(10)
    stage.server.stop("second")


def _at_work(stage: Stage) -> None:
    with stage.new_claim():
        stage.fill()
    stage.sleep(0, 1)
    stage.strike()


def _own(stage: Stage) -> None:
    if stage.server.redis_url:
        raise Skipped("the broker is a shared server, not ours to stop")


def _url(stage: Stage) -> str:
    socket = quote(str(stage.server.command("socket")))
    return stage.server.redis_url or f"redis+socket://{socket}?virtual_host=0"
