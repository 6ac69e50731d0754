"""Clips that crash their worker, queued among healthy ones."""

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.server import wait_for
from tools.chaos.client import Accepted
from tools.chaos.harness import Harness, Skipped
from tools.chaos.observer import Row

OTHER_CLIPS = 16
MEMORY = Path("/sys/fs/cgroup/memory")
# Memory allowed in addition to what short clips used; the long clip needs far more.
SPARE_BYTES = 24_000_000
LONG_S = 580


def segfault(harness: Harness) -> None:
    """Replace a clip's file with a pipe, so that its worker hangs, and send it SIGSEGV."""

    def crashing_clip() -> Accepted:
        clip = harness.client.send(retry=True)
        assert clip
        ((key,),) = harness.observer.ask(
            "SELECT file_key FROM classifier_clip WHERE id = ?", harness.observer.key(clip.clip)
        )
        stored = harness.server.data / "media" / "clips" / key[:2] / key
        stored.unlink()
        os.mkfifo(stored)
        return clip

    def kill_children() -> None:
        time.sleep(0.5)
        harness.record_injection()
        for child in _children(harness.server.processes["worker"].pid):
            os.kill(child, signal.SIGSEGV)

    _among_others(harness, crashing_clip, kill_children)


def memory(harness: Harness) -> None:
    """Send a clip so long that the kernel kills the worker's child for lack of memory."""
    with _limited(harness) as limit:
        harness.fill_queue(OTHER_CLIPS)
        harness.drain()
        limit()

        def crashing_clip() -> Accepted:
            clip = harness.client.send(LONG_S, retry=True)
            assert clip
            return clip

        _among_others(harness, crashing_clip, harness.record_injection)


def _among_others(
    harness: Harness, crashing_clip: Callable[[], Accepted], when_claimed: Callable[[], None]
) -> None:
    for _ in harness.repetitions():
        harness.server.stop("worker")
        harness.fill_queue(OTHER_CLIPS // 2)
        clip = crashing_clip()
        clip.healthy = False
        harness.fill_queue(OTHER_CLIPS)
        harness.server.start("worker")
        found = _wait_for_end(harness, clip, when_claimed)
        payload = (found.state, found.error_code, "3 times" in found.error_detail)
        harness.expect(
            payload == ("failed", "crashed", True), f"the crashing clip ended as {found}"
        )


def _wait_for_end(harness: Harness, clip: Accepted, when_claimed: Callable[[], None]) -> Row:
    def now() -> Row:
        return harness.observer.row(clip.analysis)

    while (found := now()).state in ("queued", "running"):
        if found.state == "running":
            token = found.token
            when_claimed()
            # Do not wait for "queued": the next worker may already have claimed it again.
            wait_for(lambda: _released(now(), token), 60, "the sweep", 0.1)  # noqa: B023
        time.sleep(0.1)
    return found


def _released(row: Row, token: str) -> bool:
    return row.state != "running" or row.token != token


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def _limited(harness: Harness) -> Iterator[Callable[[], None]]:
    """Run the worker in a control group; yield a function that limits its memory."""
    if not os.access(MEMORY / "memory.limit_in_bytes", os.W_OK):
        raise Skipped("no writable memory control group")
    group = MEMORY / f"chaos-{secrets.token_hex(4)}"
    group.mkdir()
    start = harness.server.start

    def start_inside(name: str, alias: str = "") -> None:
        start(name, alias)
        (group / "cgroup.procs").write_text(str(harness.server.processes[alias or name].pid))

    def limit() -> None:
        peak = int((group / "memory.max_usage_in_bytes").read_text())
        (group / "memory.limit_in_bytes").write_text(str(peak + SPARE_BYTES))

    harness.server.start = start_inside  # type: ignore[method-assign]
    harness.server.stop("worker")
    harness.server.start("worker")
    try:
        yield limit
    finally:
        harness.server.stop("worker")
        with suppress(OSError):
            group.rmdir()
        harness.server.start = start  # type: ignore[method-assign]
        harness.server.start("worker")
