"""Faults of workers: killed at any moment, deployed, two at once, poisoned by a clip."""

from tests.chaos.stage import Stage

# How long after a claim a kill may come: a chunk of sixteen takes about as long.
WORK_S = 1.5
# How long a start may take; the rare kill that falls into it.
START_S = 6.0


def kills(stage: Stage) -> None:
    """`kill -9` of the whole tree; nine in ten while it works, one while it starts."""
    for _ in range(stage.times):
        starting = stage.random.random() < 0.1
        if starting:
            stage.fill()
            stage.sleep(0, START_S)
        else:
            with stage.new_claim():
                stage.fill()
            stage.sleep(0, WORK_S)
        stage.strike()
        stage.house.kill("worker")
        stage.house.start("worker")
