"""Full disks: mount a small file system over `media/` and fill it completely."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.chaos.harness import Harness, Skipped

SIZE_MB = 64
# Shorter than the work on the first chunk, even on a fast machine.
WORK_S = 0.4


@contextmanager
def small(data: Path) -> Iterator[dict[str, str]]:
    if os.geteuid() != 0:
        raise Skipped("only root may mount a file system")
    media = data / "media"
    media.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(media)], capture_output=True
    )
    if mounted.returncode:
        raise Skipped(f"mount: {mounted.stderr.decode().strip()}")
    try:
        yield {}
    finally:
        subprocess.run(["umount", str(media)], check=True)


def full(harness: Harness) -> None:
    """Fill the disk while a worker saves results and clips are uploaded, then free it again."""
    ballast = harness.server.data / "media" / "ballast"
    for _ in harness.repetitions():
        with harness.new_claim():
            harness.fill_queue()
        harness.sleep(0, WORK_S)
        harness.record_injection()
        _fill(ballast)
        before = len(harness.client.accepted)
        for _ in range(5):
            harness.client.send(2.0)
            harness.sleep(0, 2)
        harness.notes.append(f"{len(harness.client.accepted) - before} accepted while full")
        ballast.unlink()
    harness.expect(
        set(harness.client.refused) <= {"507 no_room"},
        f"uploads were refused with {dict(harness.client.refused)}",
    )


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for block in (1 << 20, 1 << 12):
            try:
                while file.write(bytes(block)) == block:
                    pass
            except OSError:
                continue
