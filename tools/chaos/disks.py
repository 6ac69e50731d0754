"""Full disks: a small file system over `media/`, filled to the last byte."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.chaos.stage import Skipped, Stage

SIZE_MB = 64
# Within the work on a first chunk, also on a fast machine.
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


def full(stage: Stage) -> None:
    """While a worker saves results and clips are uploaded; a while later there is room again."""
    ballast = stage.server.data / "media" / "ballast"
    for _ in stage.rounds():
        with stage.new_claim():
            stage.fill()
        stage.sleep(0, WORK_S)
        stage.strike()
        _fill(ballast)
        before = len(stage.client.accepted)
        for _ in range(5):
            stage.client.send(2.0)
            stage.sleep(0, 2)
        stage.notes.append(f"{len(stage.client.accepted) - before} accepted while full")
        ballast.unlink()
    stage.expect(
        set(stage.client.refused) <= {"507 no_room"},
        f"uploads were refused with {dict(stage.client.refused)}",
    )


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for block in (1 << 20, 1 << 12):
            try:
                while file.write(bytes(block)) == block:
                    pass
            except OSError:
                continue
