"""`manage.py doctor` on a running server, and on servers with one thing missing."""

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
    """Return the hint of each failed check by name."""
    status, output = doctor(server, "--json", **environment)
    report = json.loads(output)
    found = {
        name: check["hint"]
        for name, check in report["checks"].items()
        if check["verdict"] == "wrong"
    }
    assert (report["verdict"] == "wrong") == bool(found) == bool(status)
    assert all(found.values()), "every failed check has a hint"
    return found


def test_all_checks_pass_on_a_running_server(server: Server) -> None:
    wait_for(lambda: not wrong(server), 60, "a healthy server", every_s=1)
    status, output = doctor(server)
    assert status == 0
    lines = [line for line in output.splitlines() if not line.startswith(" ")]
    assert len(lines) == 17
    assert not any(line.startswith("WRONG") for line in lines)


def test_only_the_requested_checks_run(server: Server) -> None:
    status, output = doctor(server, "--only", "disk", "origin", "--json")
    assert status == 0
    assert set(json.loads(output)["checks"]) == {"disk", "origin"}


def test_an_unreachable_broker_is_reported(server: Server) -> None:
    found = wrong(server, REDIS_URL="redis://127.0.0.1:9/0")
    assert set(found) == {"broker", "worker"}
    assert "REDIS_URL" in found["broker"]


def test_a_missing_checkpoint_is_reported(server: Server) -> None:
    found = wrong(server, CHECKPOINT="/nowhere/weights.safetensors")
    assert set(found) == {"checkpoint"}
    assert "CHECKPOINT" in found["checkpoint"]


def test_an_unreachable_database_is_reported(server: Server) -> None:
    found = wrong(server, DATABASE_URL="postgres://nobody@127.0.0.1:9/nothing")
    assert set(found) == {"database", "migrations", "clock", "queue"}
    assert "DATABASE_URL" in found["database"]


def test_missing_migrations_and_static_files_are_reported(server: Server, tmp_path: Path) -> None:
    found = wrong(server, SONOSCOPE_DATA=str(tmp_path), DATABASE_URL="")
    assert {"migrations", "static", "sweep"} < set(found)
    assert "migrate" in found["migrations"]
    assert "collectstatic" in found["static"]


def test_a_data_folder_that_cannot_be_written_is_reported(server: Server) -> None:
    found = wrong(server, SONOSCOPE_DATA="/proc/nowhere", SECRET_KEY="x", DATABASE_URL="")
    assert {"data", "database"} < set(found)
    assert "SONOSCOPE_DATA" in found["data"]


@pytest.mark.parametrize("variable", ["SECRET_KEY_FILE", "PORT"])
def test_an_invalid_setting_ends_the_doctor_with_one_sentence(
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


def test_a_missing_worker_is_reported(server: Server) -> None:
    """The check uses an empty broker database, which the server's worker does not consume."""
    if server.redis_url:
        other = f"{server.redis_url.rpartition('/')[0]}/7"
    else:
        other = f"redis+socket://{server.command('socket')}?virtual_host=7"
    found = wrong(server, REDIS_URL=other)
    assert set(found) == {"worker"}
