"""`manage.py doctor` on a running server, and on servers with something missing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT, Server, wait_for


def doctor(server: Server, *arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", *arguments],
        cwd=ROOT, env=server.env | environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def wrong(server: Server, **environment: str) -> dict[str, str]:
    """What is wrong: each check's name and hint."""
    status, payload = doctor(server, "--json", **environment)
    report = json.loads(payload)
    found = {
        name: check["hint"]
        for name, check in report["checks"].items()
        if check["verdict"] == "wrong"
    }
    assert (report["verdict"] == "wrong") == bool(found) == bool(status)
    assert all(found.values()), "every wrong thing comes with what to do"
    return found


def test_nothing_is_wrong_with_a_running_server(server: Server) -> None:
    wait_for(lambda: not wrong(server), 60, "a healthy server", every_s=1)
    status, payload = doctor(server)
    assert status == 0
    lines = [line for line in payload.splitlines() if not line.startswith(" ")]
    assert len(lines) == 16
    assert not any(line.startswith("WRONG") for line in lines)


def test_only_what_was_asked_for(server: Server) -> None:
    status, payload = doctor(server, "--only", "disk", "origin", "--json")
    assert status == 0
    assert set(json.loads(payload)["checks"]) == {"disk", "origin"}


def test_the_broker_is_away(server: Server) -> None:
    found = wrong(server, REDIS_URL="redis://127.0.0.1:9/0")
    assert set(found) == {"broker", "worker"}
    assert "REDIS_URL" in found["broker"]


def test_the_checkpoint_is_missing(server: Server) -> None:
    found = wrong(server, CHECKPOINT="/nowhere/weights.safetensors")
    assert set(found) == {"checkpoint"}
    assert "CHECKPOINT" in found["checkpoint"]


def test_the_database_is_away(server: Server) -> None:
    found = wrong(server, DATABASE_URL="postgres://nobody@127.0.0.1:9/nothing")
    assert set(found) == {"database", "migrations", "clock", "queue"}
    assert "DATABASE_URL" in found["database"]


def test_nothing_was_prepared(server: Server, tmp_path: Path) -> None:
    found = wrong(server, SONOSCOPE_DATA=str(tmp_path), DATABASE_URL="")
    assert {"migrations", "static", "sweep"} < set(found)
    assert "migrate" in found["migrations"]
    assert "collectstatic" in found["static"]


def test_the_data_folder_cannot_be_written(server: Server) -> None:
    found = wrong(server, SONOSCOPE_DATA="/proc/nowhere", SECRET_KEY="x", DATABASE_URL="")
    assert {"data", "database"} < set(found)
    assert "SONOSCOPE_DATA" in found["data"]


@pytest.mark.parametrize("variable", ["SECRET_KEY_FILE", "PORT"])
def test_a_setting_that_cannot_be_read_stops_it_with_one_sentence(
    server: Server, variable: str
) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT, env=server.env | {variable: "/nowhere"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode
    assert done.stderr.splitlines()[-1].startswith(
        f"django.core.exceptions.ImproperlyConfigured: {variable}"
    )


def test_no_worker_answers(server: Server) -> None:
    """On an empty broker of its own: the server's worker listens elsewhere."""
    if server.redis_url:
        other = f"{server.redis_url.rpartition('/')[0]}/7"
    else:
        other = f"redis+socket://{server.command('socket')}?virtual_host=7"
    found = wrong(server, REDIS_URL=other)
    assert set(found) == {"worker"}
