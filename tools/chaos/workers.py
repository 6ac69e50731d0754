"""Faults of workers: killed, replaced, paused beyond their lease, and a replaced checkpoint."""

import signal
import time

from tests import checkpoints
from tools.chaos.harness import Harness

# Maximum time from a claim to a fault; a chunk of 64 takes about as long.
WORK_S = 2.0
# Maximum time from a start to a kill, for the kills that hit a starting worker.
START_S = 1.5
INTERRUPTED = "SELECT count(*) FROM classifier_analysis WHERE alone OR attempts > 1"


def kills(harness: Harness) -> None:
    """Kill a worker's process group (SIGKILL): nine in ten while it works, one at its start."""
    for _ in harness.repetitions():
        if harness.random.random() < 0.1:
            harness.fill_queue()
            harness.sleep(0, START_S)
        else:
            with harness.new_claim():
                harness.fill_queue()
            harness.sleep(0, WORK_S)
        harness.record_injection()
        harness.server.kill("worker")
        harness.server.start("worker")


def deploys(harness: Harness) -> None:
    """Replace the worker (SIGTERM): no clip may be interrupted or retried."""
    ((before,),) = harness.observer.ask(INTERRUPTED)
    for _ in harness.repetitions():
        with harness.new_claim():
            harness.fill_queue()
        harness.sleep(0, WORK_S)
        harness.record_injection()
        harness.server.stop("worker")
        harness.server.start("worker")
    harness.send_rest()
    harness.drain()
    ((after,),) = harness.observer.ask(INTERRUPTED)
    harness.expect(after == before, f"{after - before} clips were interrupted by a deploy")


def paused(harness: Harness) -> None:
    """Pause a worker beyond its lease, so that another claims its clips, then continue it."""
    harness.server.start("worker", "second")
    for _ in harness.repetitions():
        with harness.new_claim():
            harness.fill_queue()
        harness.sleep(0, WORK_S / 3)
        harness.record_injection()
        harness.server.signal("worker", signal.SIGSTOP)
        time.sleep(float(harness.server.env["LEASE_S"]) + 2)
        harness.server.signal("worker", signal.SIGCONT)
    harness.send_rest()
    harness.drain()
    harness.server.stop("second")


def replaced(harness: Harness) -> None:
    """Replace the default checkpoint; every second time it is truncated for a while first."""
    path = harness.checkpoint
    for number in harness.repetitions():
        with harness.new_claim():
            harness.fill_queue()
        harness.sleep(0, WORK_S)
        new = checkpoints.small_copy(path.with_name("new"), notes=[f"number {number}"])
        harness.record_injection()
        if number % 2:
            path.write_bytes(new.read_bytes()[:1_000_000])
            time.sleep(3)
        new.replace(path)
    harness.send_rest()
    harness.drain()
    analysed = harness.observer.ask(
        "SELECT checkpoint, count(*) FROM classifier_analysis WHERE state = 'done' GROUP BY 1"
    )
    harness.expect(len(analysed) > 1, "only one checkpoint was used")
