"""`make run` from the start to Ctrl-C."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.documents import assert_output, steps
from tests.server import ROOT, free_port, wait_for


def start(env: dict[str, str], out: Path) -> subprocess.Popen[bytes]:
    with out.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "webapp.serve"],
            cwd=ROOT, env=env, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip


def environment(folder: Path) -> dict[str, str]:
    own = {"SONOSCOPE_DATA": str(folder / "a data folder"), "PORT": str(free_port())}
    return os.environ | own | {"DATABASE_URL": "", "REDIS_URL": ""}


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path)


@dataclass(frozen=True, slots=True)
class Running:
    env: dict[str, str]
    out: Path
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("serve")
    env, out = environment(folder), folder / "out"
    process = start(env, out)
    wait_for(lambda: "Ctrl-C" in out.read_text(), 60, "the address")
    yield Running(env, out, process)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def test_data_files_are_readable_by_their_owner_only(running: Running) -> None:
    data = Path(running.env["SONOSCOPE_DATA"])
    for path in (data / "sonoscope.sqlite3", data / "log" / "web.log", data / "secret_key"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_it_starts_prints_its_address_and_stops(running: Running, tmp_path: Path) -> None:
    env, out = running.env, running.out
    url = f"http://localhost:{env['PORT']}"
    said = out.read_text()
    (_, shown), *_ = steps("docs/tutorial.md")
    installing, _, shown = shown.partition("\n")
    assert installing in (ROOT / "Makefile").read_text()
    assert_output(shown.replace("http://localhost:8000", url), said)
    password = re.search(r"Password: +(\S+)", said)
    assert password

    browser = requests.Session()
    page = browser.get(f"{url}/admin/login/", timeout=30)
    assert page.status_code == 200
    signed_in = browser.post(
        f"{url}/admin/login/?next=/admin/",
        data={
            "username": "admin",
            "password": password[1],
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        },
        timeout=30,
    )
    assert "Analyses" in signed_in.text

    beside = subprocess.run(
        [sys.executable, "-m", "webapp.serve"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert beside.returncode == 1
    assert f"already running at {url}" in beside.stderr

    elsewhere = env | {"SONOSCOPE_DATA": str(tmp_path / "other")}
    taken = subprocess.run(
        [sys.executable, "-m", "webapp.serve"],
        cwd=ROOT, env=elsewhere, capture_output=True, text=True,
    )  # fmt: skip
    assert taken.returncode == 1
    assert f"Port {env['PORT']} is already in use" in taken.stderr

    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(60) == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)
    assert not (Path(env["SONOSCOPE_DATA"]) / "run" / "broker.sock").exists()

    again = start(env, out)
    try:
        wait_for(lambda: "Ctrl-C" in out.read_text(), 60, "the second start")
        assert "Password" not in out.read_text()
    finally:
        again.send_signal(signal.SIGINT)
        again.wait(60)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"PORT": "99999"}, "PORT must be a whole number from 1 to 65535, not '99999'."),
        ({"HOST": "203.0.113.7"}, "Cannot listen on 203.0.113.7"),
        ({"CHECKPOINT": "nowhere.safetensors"}, "There is no checkpoint at nowhere.safetensors."),
    ],
)
def test_a_wrong_setting_stops_the_start_with_a_sentence(
    env: dict[str, str], wrong: dict[str, str], said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "webapp.serve"],
        cwd=ROOT, env=env | wrong, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_data_of_another_version_is_refused_and_left_as_it_is(env: dict[str, str]) -> None:
    data = Path(env["SONOSCOPE_DATA"])
    data.mkdir()
    with sqlite3.connect(data / "sonoscope.sqlite3") as database:
        database.execute("CREATE TABLE django_migrations (id, app, name, applied)")
        database.execute(
            "INSERT INTO django_migrations VALUES (1, 'classifier', '0004_studies', '2026-11-22')"
        )
    done = subprocess.run(
        [sys.executable, "-m", "webapp.serve"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"The data in {data} was written by another version of Sonoscope" in done.stderr
    assert "Move that folder elsewhere" in done.stderr
    assert "Traceback" not in done.stderr
    with sqlite3.connect(data / "sonoscope.sqlite3") as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables == [("django_migrations",)]
