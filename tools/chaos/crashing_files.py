"""Clips that kill whoever hears them, among others that do not."""

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.server import wait_for
from tools.chaos.client import Accepted
from tools.chaos.outside import Row
from tools.chaos.stage import Skipped, Stage

BESIDE = 16
MEMORY = Path("/sys/fs/cgroup/memory")
# What the worker may take beyond what short clips took: the long one takes far more.
SPARE_BYTES = 24_000_000
LONG_S = 580


def segfault(stage: Stage) -> None:
    """Whoever opens the clip's file hangs in it, and dies of SIGSEGV: as in a broken decoder."""

    def poisoned() -> Accepted:
        clip = stage.client.send(patient=True)
        assert clip
        ((key,),) = stage.outside.ask(
            "SELECT file_key FROM classifier_clip WHERE id = ?", stage.outside.key(clip.clip)
        )
        stored = stage.server.data / "media" / "clips" / key[:2] / key
        stored.unlink()
        os.mkfifo(stored)
        return clip

    def shoot() -> None:
        time.sleep(0.5)
        stage.strike()
        for child in _children(stage.server.processes["worker"].pid):
            os.kill(child, signal.SIGSEGV)

    _among_others(stage, poisoned, shoot)


def memory(stage: Stage) -> None:
    """A clip so long that the kernel's out-of-memory killer ends its worker's child."""
    with _limited(stage) as limit:
        stage.fill(BESIDE)
        stage.drain()
        limit()

        def poisoned() -> Accepted:
            clip = stage.client.send(LONG_S, patient=True)
            assert clip
            return clip

        _among_others(stage, poisoned, stage.strike)


def _among_others(
    stage: Stage, poisoned: Callable[[], Accepted], when_taken: Callable[[], None]
) -> None:
    for _ in stage.rounds():
        stage.server.stop("worker")
        stage.fill(BESIDE // 2)
        clip = poisoned()
        clip.healthy = False
        stage.fill(BESIDE)
        stage.server.start("worker")
        found = _until_it_ended(stage, clip, when_taken)
        payload = (found.state, found.error_code, "3 times" in found.error_detail)
        stage.expect(payload == ("failed", "crashed", True), f"a poisoned clip ended {found}")


def _until_it_ended(stage: Stage, clip: Accepted, when_taken: Callable[[], None]) -> Row:
    def now() -> Row:
        return stage.outside.row(clip.analysis)

    while (found := now()).state in ("queued", "running"):
        if found.state == "running":
            taken = found.token
            when_taken()
            # Not until it waits again: the next worker may have it by then.
            wait_for(lambda: _given_up(now(), taken), 60, "the sweep", 0.1)  # noqa: B023
        time.sleep(0.1)
    return found


def _given_up(row: Row, token: str) -> bool:
    return row.state != "running" or row.token != token


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def _limited(stage: Stage) -> Iterator[Callable[[], None]]:
    """A control group with the worker in it; what is yielded limits it from then on."""
    if not os.access(MEMORY / "memory.limit_in_bytes", os.W_OK):
        raise Skipped("there is no control group of memory that we may write to")
    group = MEMORY / f"chaos-{secrets.token_hex(4)}"
    group.mkdir()
    start = stage.server.start

    def start_inside(name: str, alias: str = "") -> None:
        start(name, alias)
        (group / "cgroup.procs").write_text(str(stage.server.processes[alias or name].pid))

    def limit() -> None:
        most = int((group / "memory.max_usage_in_bytes").read_text())
        (group / "memory.limit_in_bytes").write_text(str(most + SPARE_BYTES))

    stage.server.start = start_inside  # type: ignore[method-assign]
    stage.server.stop("worker")
    stage.server.start("worker")
    try:
        yield limit
    finally:
        stage.server.stop("worker")
        with suppress(OSError):
            group.rmdir()
        stage.server.start = start  # type: ignore[method-assign]
        stage.server.start("worker")
