"""Settings that depend on each other, and the requirements of a public server."""

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from ml import checkpoint_info
from tests.server import ROOT

KEY = "long, and of many kinds: " + "0123456789abcdef" * 2


def manage(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    # No settings file, so that a developer's own has no effect.
    plain |= {"ENV_FILE": os.devnull, "SONOSCOPE_DATA": str(folder / "data")}
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT, env=plain | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_web_process_and_the_worker_use_the_same_default_checkpoint() -> None:
    assert checkpoint_info.default_path() == settings.CHECKPOINT


def test_djangos_deployment_check_reports_nothing(tmp_path: Path) -> None:
    words = ("check", "--deploy", "--fail-level", "WARNING")
    ran = manage(tmp_path, *words, ORIGIN="https://sono.example", SECRET_KEY=KEY)
    assert ran.returncode == 0, ran.stderr
    assert "no issues" in ran.stdout + ran.stderr


def test_no_process_starts_with_an_origin_under_a_path(tmp_path: Path) -> None:
    ran = manage(tmp_path, "check", ORIGIN="https://sono.example/sono/", SECRET_KEY=KEY)
    assert ran.returncode != 0
    assert "Sonoscope cannot run under a path" in ran.stderr


def test_a_public_server_does_not_start_without_a_secret_key(tmp_path: Path) -> None:
    ran = manage(tmp_path, "check", ORIGIN="https://sono.example")
    assert ran.returncode != 0
    assert "SECRET_KEY is not set" in ran.stderr
    assert manage(tmp_path, "check").returncode == 0


def test_a_public_server_redirects_everything_except_health_checks_to_https(tmp_path: Path) -> None:
    code = """
from django.test import Client
client = Client(headers={"Host": "sono.example"})
for path in ("/", "/healthz", "/api/v1/clips/"):
    print(path, client.get(path).status_code, client.get(path).headers.get("Location"))
response = client.post("/api/v1/clips/", {"file": "x"})
print(response.status_code, response.json()["code"])
response = client.get("/healthz", headers={"X-Forwarded-Proto": "https"})
print(response.status_code, response["Strict-Transport-Security"])
"""
    ran = manage(tmp_path, "shell", "-c", code, ORIGIN="https://sono.example", SECRET_KEY=KEY)
    lines = [line for line in ran.stdout.splitlines() if "imported" not in line and line]
    assert lines == [
        "/ 301 https://sono.example/",
        "/healthz 200 None",
        "/api/v1/clips/ 301 https://sono.example/api/v1/clips/",
        "400 https_required",
        "200 max-age=31536000",
    ], ran.stderr
