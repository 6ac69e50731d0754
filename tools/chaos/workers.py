"""Faults of workers: killed at any moment, deployed, two of them on one clip."""

import signal
import time

from tests import checkpoints
from tools.chaos.stage import Stage

# How long after a claim a fault may come: a chunk of sixteen takes about half as long.
WORK_S = 2.0
# How long a start may take; the rare kill that falls into it.
START_S = 1.5
INTERRUPTED = "SELECT count(*) FROM classifier_analysis WHERE alone OR attempts > 1"


def kills(stage: Stage) -> None:
    """`kill -9` of the whole tree; nine in ten while it works, one while it starts."""
    for _ in stage.rounds():
        if stage.random.random() < 0.1:
            stage.fill()
            stage.sleep(0, START_S)
        else:
            with stage.new_claim():
                stage.fill()
            stage.sleep(0, WORK_S)
        stage.strike()
        stage.server.kill("worker")
        stage.server.start("worker")


def deploys(stage: Stage) -> None:
    """SIGTERM and a new one: nobody is interrupted, so nobody is tried again."""
    ((before,),) = stage.outside.ask(INTERRUPTED)
    for _ in stage.rounds():
        with stage.new_claim():
            stage.fill()
        stage.sleep(0, WORK_S)
        stage.strike()
        stage.server.stop("worker")
        stage.server.start("worker")
    stage.send_rest()
    stage.drain()
    ((after,),) = stage.outside.ask(INTERRUPTED)
    stage.expect(after == before, f"{after - before} clips were interrupted by a deploy")


def two(stage: Stage) -> None:
    """A worker stands still for longer than its lease, another takes its clips, it goes on."""
    stage.server.start("worker", "second")
    for _ in stage.rounds():
        with stage.new_claim():
            stage.fill()
        stage.sleep(0, WORK_S / 3)
        stage.strike()
        stage.server.signal("worker", signal.SIGSTOP)
        time.sleep(float(stage.server.env["LEASE_S"]) + 2)
        stage.server.signal("worker", signal.SIGCONT)
    stage.send_rest()
    stage.drain()
    stage.server.stop("second")


def replaced(stage: Stage) -> None:
    """Another default checkpoint in place of the one in use; each second time it is a while in
    coming, and half of it lies there meanwhile."""
    path = stage.checkpoint
    for number in stage.rounds():
        with stage.new_claim():
            stage.fill()
        stage.sleep(0, WORK_S)
        new = checkpoints.small_copy(path.with_name("new"), notes=[f"number {number}"])
        stage.strike()
        if number % 2:
            path.write_bytes(new.read_bytes()[:1_000_000])
            time.sleep(3)
        new.replace(path)
    stage.send_rest()
    stage.drain()
    analysed = stage.outside.ask(
        "SELECT checkpoint, count(*) FROM classifier_analysis WHERE state = 'done' GROUP BY 1"
    )
    stage.expect(len(analysed) > 1, "more than one checkpoint has heard")
