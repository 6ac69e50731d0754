"""Faults of the database: PostgreSQL restarted, SQLite's write lock held by somebody."""

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
from tools.chaos.stage import Skipped, Stage

LOCKED_S = 15
VERSIONS = Path("/usr/lib/postgresql")


def restarts(stage: Stage) -> None:
    """Softly (`fast`) or as after a crash (`immediate`), with uploads going on."""
    for _ in stage.rounds():
        with stage.new_claim():
            stage.fill()
        stage.sleep(0, 1)
        stage.strike()
        mode = stage.random.choice(("fast", "immediate"))
        with ThreadPoolExecutor(2) as threads:
            sent = [threads.submit(stage.client.send, patient=True) for _ in range(4)]
            _server(Path(stage.server.env["CHAOS_SERVER"]), "-m", mode, "stop")
            stage.sleep(0, 3)
            _server(Path(stage.server.env["CHAOS_SERVER"]), "-w", "start")
            for one in sent:
                one.result()


@contextmanager
def server(data: Path) -> Iterator[dict[str, str]]:
    """A PostgreSQL of its own; only root may become the user that it insists on."""
    if not (VERSIONS.is_dir() and os.geteuid() == 0):
        raise Skipped("it needs Debian's PostgreSQL and root")
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


def locked(stage: Stage) -> None:
    """Somebody writes for 15 s without a break, while clips are uploaded and heard."""
    if stage.server.database_url:
        raise Skipped("only SQLite has one lock for all")
    for _ in stage.rounds():
        with stage.new_claim():
            stage.fill()
        stage.strike()
        with ThreadPoolExecutor(4) as threads:
            with stage.outside.locked():
                sent = [threads.submit(stage.client.send) for _ in range(4)]
                time.sleep(LOCKED_S)
            for one in sent:
                one.result()
    stage.expect(not stage.client.refused, f"uploads were refused: {dict(stage.client.refused)}")


def _server(folder: Path, *how: str) -> None:
    _as_postgres(_program("pg_ctl"), "-D", str(folder), "-l", f"{folder}/log", *how)


def _program(name: str) -> str:
    return str(max(VERSIONS.glob(f"*/bin/{name}")))


def _as_postgres(*command: str) -> None:
    # Its own log, and no pipe: the server would keep it open for as long as it lives.
    subprocess.run(
        command, user="postgres", cwd="/", check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
