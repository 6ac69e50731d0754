"""Faults of the database: PostgreSQL restarted, SQLite locked by another connection."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.server import free_port
from tools.chaos.harness import Harness, Skipped

LOCKED_S = 15
VERSIONS = Path("/usr/lib/postgresql")


def restarts(harness: Harness) -> None:
    """Restart PostgreSQL during uploads, in mode `fast` or, as in a crash, `immediate`."""
    for _ in harness.repetitions():
        with harness.new_claim():
            harness.fill_queue()
        harness.sleep(0, 1)
        harness.record_injection()
        mode = harness.random.choice(("fast", "immediate"))
        with ThreadPoolExecutor(2) as threads:
            sent = [threads.submit(harness.client.send, retry=True) for _ in range(4)]
            _server(Path(harness.server.env["CHAOS_SERVER"]), "-m", mode, "stop")
            harness.sleep(0, 3)
            _server(Path(harness.server.env["CHAOS_SERVER"]), "-w", "start")
            for one in sent:
                one.result()


@contextmanager
def server(data: Path) -> Iterator[dict[str, str]]:
    """Start a PostgreSQL server; needs root, because it must run as another user."""
    if not (VERSIONS.is_dir() and os.geteuid() == 0):
        raise Skipped("needs Debian's PostgreSQL package and root")
    folder = Path(tempfile.mkdtemp(prefix="chaos-postgres-"))
    port = free_port()
    try:
        shutil.chown(folder, "postgres")
        _as_postgres(_program("initdb"), "-D", str(folder), "-A", "trust", "-U", "sonoscope")
        with (folder / "postgresql.conf").open("a") as file:
            file.write(f"\nport = {port}\nunix_socket_directories = '{folder}'\n")
        _server(folder, "-w", "start")
        yield {
            "DATABASE_URL": f"postgres://sonoscope@127.0.0.1:{port}/postgres",
            "CHAOS_SERVER": str(folder),
        }
        _server(folder, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def locked(harness: Harness) -> None:
    """Hold the write lock for 15 s while clips are uploaded and classified."""
    if harness.server.database_url:
        raise Skipped("only SQLite has a single write lock")
    for _ in harness.repetitions():
        with harness.new_claim():
            harness.fill_queue()
        harness.record_injection()
        with ThreadPoolExecutor(4) as threads:
            with harness.observer.locked():
                sent = [threads.submit(harness.client.send) for _ in range(4)]
                time.sleep(LOCKED_S)
            for one in sent:
                one.result()
    harness.expect(
        not harness.client.refused, f"uploads were refused: {dict(harness.client.refused)}"
    )


def _server(folder: Path, *how: str) -> None:
    _as_postgres(_program("pg_ctl"), "-D", str(folder), "-l", f"{folder}/log", *how)


def _program(name: str) -> str:
    return str(max(VERSIONS.glob(f"*/bin/{name}")))


def _as_postgres(*command: str) -> None:
    # No pipes: the server would keep them open for as long as it runs.
    subprocess.run(
        command, user="postgres", cwd="/", check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
