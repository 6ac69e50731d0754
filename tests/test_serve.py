"""`make run` as a person meets it: one command, one line with the address, Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.house import ROOT, free_port, wait_for


def start(env: dict[str, str], out: Path) -> subprocess.Popen[bytes]:
    with out.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "webapp.serve"],
            cwd=ROOT, env=env, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    port = str(free_port())
    own = {"SONOSCOPE_DATA": str(tmp_path / "a data folder"), "PORT": port}
    clean = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    return clean | own


@pytest.fixture
def running(env: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = start(env, tmp_path / "out")
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def test_it_starts_says_where_and_stops(
    env: dict[str, str], running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    url = f"http://localhost:{env['PORT']}"
    wait_for(lambda: "Ctrl-C" in out.read_text(), 60, "the address")
    said = out.read_text()
    assert url in said
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
    assert f"already running at {url}" in beside.stdout

    elsewhere = env | {"SONOSCOPE_DATA": str(tmp_path / "other")}
    taken = subprocess.run(
        [sys.executable, "-m", "webapp.serve"],
        cwd=ROOT, env=elsewhere, capture_output=True, text=True,
    )  # fmt: skip
    assert taken.returncode == 1
    assert f"Port {env['PORT']} is used" in taken.stdout

    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert env["SONOSCOPE_DATA"] not in left

    again = start(env, out)
    try:
        wait_for(lambda: "Ctrl-C" in out.read_text(), 60, "the second start")
        assert "Password" not in out.read_text()
    finally:
        again.send_signal(signal.SIGINT)
        again.wait(60)
