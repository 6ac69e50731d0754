"""docker-compose.yml without a container engine: it is valid, and its services work together.

The files are copied as the Dockerfile does. Then the command line of each service is started as a
process, in the environment of the service, against local servers. `COMPOSE_CLIPS=200` sends more
clips than the default of twenty.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import fixtures
from tests.server import ROOT, Person, Server, free_port, wait_for

CLIPS = int(os.environ.get("COMPOSE_CLIPS", "20"))
IN_THE_IMAGE = shutil.ignore_patterns("tests", "__pycache__")
OURS = {"prepare", "web", "worker", "worker-gpu", "worker-modal", "sweep", "tensorboard"}


def composed() -> dict[str, Any]:
    """Return the file as Compose resolves it, with every profile and without an `.env` file."""
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "docker-compose"), "--env-file", os.devnull),
            *("--profile", "*", "config", "--format", "json"),
        ],
        cwd=ROOT, env={"PATH": os.environ["PATH"], "HOME": "/nowhere"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return composed()["services"]


def test_every_service_has_limits_and_no_privileges(services: dict[str, Any]) -> None:
    assert set(services) == OURS | {"database", "broker"}
    for name, service in services.items():
        assert service["read_only"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory"} <= set(limits), name
        assert service["restart"] == ("no" if name == "prepare" else "unless-stopped")
        assert name == "prepare" or service["healthcheck"]["test"], name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name
        if name in OURS:
            assert service["user"] == "10001:10001", name
            assert service["cap_drop"] == ["ALL"], name
    for name in ("worker", "worker-gpu", "worker-modal"):
        assert services[name]["environment"]["REMAP_SIGTERM"] == "SIGQUIT"
        assert services[name]["stop_grace_period"] == "1m15s"
    for name in OURS - {"prepare", "tensorboard"}:
        waits = services[name]["depends_on"]["prepare"]
        assert waits["condition"] == "service_completed_successfully"


def test_the_file_contains_no_secret(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for variable, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|SECRET", variable):
                assert variable.endswith("_FILE"), (name, variable)
                assert value.startswith("/run/secrets/"), (name, variable)


def test_the_command_lines_are_the_same_as_of_make_run(
    services: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    server = Server(tmp_path, HOST="0.0.0.0", PORT="8000")
    for name, like in {
        "web": "web", "worker": "worker", "worker-gpu": "worker",
        "worker-modal": "worker", "sweep": "sweep",
    }.items():  # fmt: skip
        assert ["python", *server.command(like)[1:]] == services[name]["command"], name
    image = re.findall(r'"([^"]+)"', _dockerfile().rpartition("\nCMD ")[2])
    assert image == services["web"]["command"]


def test_dockerignore_admits_everything_that_the_dockerfile_copies() -> None:
    sent = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copied = re.findall(r"^COPY (?!--from)(.+)", _dockerfile(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()[:-1]}
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in sent, source


def _dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


# --- as processes -------------------------------------------------------------------------


class ComposeServer(Server):
    """A server whose processes are the services of the Compose file."""

    def __init__(self, data: Path, services: dict[str, Any]) -> None:
        super().__init__(data)
        self.services = services
        self.app = data / "image"
        self.broker_port, self.board_port = free_port(), free_port()
        self.redis_url = f"redis://127.0.0.1:{self.broker_port}/0"
        self.env["REDIS_URL"] = self.redis_url
        self.stop_times_s: dict[str, float] = {}

    def open(self) -> None:
        self._copy_image_files()
        for name in ("secret_key", "database_password", "admin_password"):
            (self.data / name).write_text(f"{name}-of-the-test\n")
        for folder in ("volume", "runs", "broker"):
            (self.data / folder).mkdir()
        self.start("broker")
        wait_for(lambda: self.healthy("broker"), 20, "the broker")

    def start(self, name: str, alias: str = "") -> None:
        log = (self.data / f"{name}.log").open("ab")
        self.logs.append(log)
        self.processes[name] = subprocess.Popen(
            self.command(name),
            cwd=self.app,
            env=self.environment(name),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def command(self, name: str) -> list[str]:
        """Return the service's command line with this machine's Python, ports and folders."""
        line = [self.here(word) for word in self.services[name]["command"]]
        if name == "broker":
            where = ("--port", str(self.broker_port), "--bind", "127.0.0.1")
            line += [*where, "--dir", str(self.data / "broker")]
        return line

    def environment(self, name: str) -> dict[str, str]:
        """Return the service's environment, adapted to this machine."""
        given = self.services[name].get("environment") or {}
        return {variable: self.here(str(value)) for variable, value in given.items()} | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.data),
            "HOSTNAME": socket.gethostname(),
            "ENV_FILE": os.devnull,
        }

    def here(self, word: str) -> str:
        """Return the equivalent on this machine of a value in the file."""
        exact = {
            "python": sys.executable,
            "/data": str(self.data / "volume"),
            "/runs": str(self.data / "runs"),
            "0.0.0.0:8000": f"127.0.0.1:{self.port}",
            "0.0.0.0": "127.0.0.1",
            "8000": str(self.port),
            "6006": str(self.board_port),
            "http://localhost:8000": self.url,
            "redis://broker:6379/0": self.redis_url,
            "postgres://sonoscope@database:5432/sonoscope": self.database_url,
        }
        if word in exact:
            return exact[word]
        return word.replace("/run/secrets/", f"{self.data}/").replace("$$", "$")

    def healthy(self, name: str) -> bool:
        """Run the service's health check."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        words = [self.here(word) for word in words]
        if kind == "CMD-SHELL":
            words = ["sh", "-c", words[0]]
        for port, mine in (("8000", self.port), ("6006", self.board_port)):
            words = [word.replace(f"127.0.0.1:{port}", f"127.0.0.1:{mine}") for word in words]
        if words[0] == "redis-cli":
            words[1:1] = ["-p", str(self.broker_port)]
        done = subprocess.run(
            words, cwd=self.app, env=self.environment(name), capture_output=True, timeout=60
        )
        return done.returncode == 0

    def doctor(self) -> str:
        """Run `manage.py doctor` in the web service; return "ok" or its report."""
        done = subprocess.run(
            [sys.executable, "manage.py", "doctor", "--json"],
            cwd=self.app, env=self.environment("web"), capture_output=True, text=True,
        )  # fmt: skip
        return "ok" if done.returncode == 0 else done.stdout

    def stop(self, *names: str) -> None:
        """Stop services one after another."""
        for name in names:
            if name in self.processes:
                self._stop(name)

    def _stop(self, name: str) -> None:
        """Stop a service as Compose does: SIGTERM, then the grace period."""
        process = self.processes.pop(name)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(75) in (0, -signal.SIGTERM), f"{name}: {self.log(name)[-2000:]}"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        self.stop_times_s[name] = time.monotonic() - started

    def close(self) -> None:
        self.stop("worker", "worker-gpu", "sweep", "web", "tensorboard", "broker")
        super().close()

    def results_of(self, person: Person) -> dict[str, Path]:
        self.env["SONOSCOPE_DATA"] = str(self.data / "volume")
        return super().results_of(person)

    def _copy_image_files(self) -> None:
        last_stage = _dockerfile().rpartition("\nFROM ")[2]
        self.app.mkdir(parents=True)
        for line in re.findall(r"^COPY (?!--from)(.+)", last_stage, re.MULTILINE):
            *sources, target = line.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, self.app / target, ignore=IN_THE_IMAGE)
                else:
                    shutil.copy(ROOT / source, self.app / target)


@pytest.fixture(scope="module")
def stack(
    services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ComposeServer]:
    if not (os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")):
        pytest.skip("DATABASE_URL and REDIS_URL are not set")
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    stack = ComposeServer(tmp_path_factory.mktemp("compose"), services)
    stack.open()
    yield stack
    stack.close()


def test_every_service_runs_and_analyses_clips(stack: ComposeServer) -> None:
    stack.start("prepare")
    assert stack.processes.pop("prepare").wait(120) == 0, stack.log("prepare")
    assert "as in ADMIN_PASSWORD" in stack.log("prepare")

    for name in ("web", "sweep", "worker", "tensorboard"):
        stack.start(name)
    for name in ("web", "sweep", "worker", "tensorboard"):
        wait_for(lambda name=name: stack.healthy(name), 120, f"a healthy {name}", every_s=1)  # type: ignore[misc]

    person = stack.person()
    half = CLIPS // 2
    started = time.monotonic()
    sent = [_send(person, number) for number in range(half)]
    results = [person.wait(location, 300) for location in sent]
    # The service of the profile `gpu` processes the other half; a worker that stops requeues the
    # clips it holds.
    more = [_send(person, number) for number in range(half, CLIPS)]
    stack.stop("worker")
    stack.start("worker-gpu")
    results += [person.wait(location, 300) for location in more]
    took_s = time.monotonic() - started

    assert [result["state"] for result in results] == ["done"] * CLIPS
    assert len(stack.results_of(person)) == CLIPS
    picture = person.get(results[-1]["spectrogram"])
    assert picture.content[:4] == b"\x89PNG"
    page = requests.get(f"{stack.url}/account/sign-in/", timeout=30).text
    style = re.search(r'href="(/static/css/[^"]+)"', page)
    assert style and requests.get(stack.url + style[1], timeout=30).ok
    # Compose also repeats a check that timed out on a busy machine.
    wait_for(lambda: stack.healthy("worker-gpu"), 60, "a healthy worker-gpu", every_s=1)
    assert stack.doctor() == "ok"
    print(f"\n{CLIPS} clips through the Compose services in {took_s:.1f} s")

    stack.stop("worker-gpu", "sweep", "web", "tensorboard", "broker")
    assert max(stack.stop_times_s.values()) < 60, stack.stop_times_s


def _send(person: Person, number: int) -> str:
    sound = fixtures.encode(fixtures.noise(1.0 + number % 5, seed=number))
    return person.submit(f"{number}.wav", sound)
