"""`manage.py doctor` on a running house, and on houses with something missing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT, House, wait_for


def doctor(house: House, *arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", *arguments],
        cwd=ROOT, env=house.env | environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def wrong(house: House, **environment: str) -> dict[str, str]:
    """What is wrong: each check's name and hint."""
    status, told = doctor(house, "--json", **environment)
    report = json.loads(told)
    found = {
        name: check["hint"]
        for name, check in report["checks"].items()
        if check["verdict"] == "wrong"
    }
    assert (report["verdict"] == "wrong") == bool(found) == bool(status)
    assert all(found.values()), "every wrong thing comes with what to do"
    return found


def test_nothing_is_wrong_with_a_running_house(house: House) -> None:
    wait_for(lambda: not wrong(house), 60, "a healthy house", every_s=1)
    status, told = doctor(house)
    assert status == 0
    lines = [line for line in told.splitlines() if not line.startswith(" ")]
    assert len(lines) == 16
    assert not any(line.startswith("WRONG") for line in lines)


def test_only_what_was_asked_for(house: House) -> None:
    status, told = doctor(house, "--only", "disk", "origin", "--json")
    assert status == 0
    assert set(json.loads(told)["checks"]) == {"disk", "origin"}


def test_the_broker_is_away(house: House) -> None:
    found = wrong(house, REDIS_URL="redis://127.0.0.1:9/0")
    assert set(found) == {"broker", "worker"}
    assert "REDIS_URL" in found["broker"]


def test_the_checkpoint_is_missing(house: House) -> None:
    found = wrong(house, CHECKPOINT="/nowhere/weights.safetensors")
    assert set(found) == {"checkpoint"}
    assert "CHECKPOINT" in found["checkpoint"]


def test_the_database_is_away(house: House) -> None:
    found = wrong(house, DATABASE_URL="postgres://nobody@127.0.0.1:9/nothing")
    assert set(found) == {"database", "migrations", "clock", "queue"}
    assert "DATABASE_URL" in found["database"]


def test_nothing_was_prepared(house: House, tmp_path: Path) -> None:
    found = wrong(house, SONOSCOPE_DATA=str(tmp_path), DATABASE_URL="")
    assert {"migrations", "static", "sweep"} < set(found)
    assert "migrate" in found["migrations"]
    assert "collectstatic" in found["static"]


def test_the_data_folder_cannot_be_written(house: House) -> None:
    found = wrong(house, SONOSCOPE_DATA="/proc/nowhere", SECRET_KEY="x", DATABASE_URL="")
    assert {"data", "database"} < set(found)
    assert "SONOSCOPE_DATA" in found["data"]


@pytest.mark.parametrize("variable", ["SECRET_KEY_FILE", "PORT"])
def test_a_setting_that_cannot_be_read_stops_it_with_one_sentence(
    house: House, variable: str
) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT, env=house.env | {variable: "/nowhere"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode
    assert done.stderr.splitlines()[-1].startswith(
        f"django.core.exceptions.ImproperlyConfigured: {variable}"
    )


def test_no_worker_answers(house: House) -> None:
    """On an empty broker of its own: the house's worker listens elsewhere."""
    if house.redis_url:
        other = f"{house.redis_url.rpartition('/')[0]}/7"
    else:
        other = f"redis+socket://{house.command('socket')}?virtual_host=7"
    found = wrong(house, REDIS_URL=other)
    assert set(found) == {"worker"}
