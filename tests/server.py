"""The whole stack in real processes, for tests: broker, worker, sweep and web.

Each server has its own data folder, database and port. With `DATABASE_URL` and `REDIS_URL` it uses
those servers (with a new database), otherwise the embedded defaults.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
import requests

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "gr4nular-ear"


class Server:
    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.server_url = settings.pop("DATABASE_URL", os.environ.get("DATABASE_URL", ""))
        self.database_url = create_database(self.server_url)
        self.redis_url = settings.setdefault("REDIS_URL", os.environ.get("REDIS_URL", ""))
        self.env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "SONOSCOPE_DATA": str(data),
            "PORT": str(self.port),
            "ORIGIN": self.url,
            "DATABASE_URL": self.database_url,
            "REMAP_SIGTERM": "SIGQUIT",
            # Several servers run on one machine; each worker uses one thread.
            "WORKER_THREADS": "1",
            "LEASE_S": "4",
            "SWEEP_EVERY_S": "1",
            "SIGN_INS_PER_MINUTE": "100000",
            "UPLOADS_PER_MINUTE": "100000",
            "READS_PER_MINUTE": "1000000",
            **settings,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.logs: list[IO[bytes]] = []

    # --- processes ------------------------------------------------------------------------

    def open(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        if self.database_url or (self.data / "sonoscope.sqlite3").exists():
            prepare(self.env)
        else:
            shutil.copytree(prepared_data().name, self.data, dirs_exist_ok=True)
        if not self.redis_url:
            self.start("broker")
            wait_for(self._broker_answers, 10, "the broker")
        self.broker().flushdb()
        for name in ("sweep", "web", "worker"):
            self.start(name)
        wait_for(self._web_answers, 60, "the web process")

    def close(self) -> None:
        self.stop("worker", "sweep", "web")
        self.stop("broker")
        for log in self.logs:
            log.close()
        if self.database_url:
            drop_database(self.server_url, self.database_url)

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.env, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def start(self, name: str, alias: str = "") -> None:
        """Start a process; `alias` names a second one of the same kind."""
        alias = alias or name
        log = (self.data / f"{alias}.log").open("ab")
        self.logs.append(log)
        self.processes[alias] = subprocess.Popen(
            self.command(name),
            cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

    def command(self, name: str) -> list[str]:
        """Return the command line that `make run` passes to its supervisor."""
        code = (
            "import json, django; django.setup(); from django.conf import settings as s; "
            "from webapp import processes as p; (s.DATA / 'broker').mkdir(exist_ok=True); "
            "s.BROKER_SOCKET.parent.mkdir(parents=True, exist_ok=True); "
            "print(json.dumps({'worker': p.worker(), 'sweep': p.sweep(), 'web': p.web(), "
            "'broker': p.broker(s.BROKER_SOCKET, s.DATA / 'broker'), "
            "'socket': str(s.BROKER_SOCKET)}))"
        )
        if not hasattr(self, "_commands"):
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=ROOT, env=self.env, check=True, capture_output=True, text=True,
            )  # fmt: skip
            self._commands: dict[str, Any] = json.loads(done.stdout)
        return self._commands[name]

    def stop(self, *names: str) -> None:
        """Stop processes at the same time, if they are running."""
        stopping = [self.processes.pop(name) for name in names if name in self.processes]
        for process in stopping:
            process.terminate()
        for process in stopping:
            try:
                # The stop timeout of docker-compose.yml.
                process.wait(75)
            finally:
                kill_group(process)

    def kill(self, name: str) -> None:
        """Kill the process and all its children (SIGKILL)."""
        process = self.processes.pop(name)
        kill_group(process)
        process.wait(10)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the process and all its children."""
        os.killpg(self.processes[name].pid, number)

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """Pause the process and its children, so that jobs wait as without a worker."""
        self.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(name, signal.SIGCONT)

    def broker(self) -> redis.Redis:
        if self.redis_url:
            return redis.Redis.from_url(self.redis_url)
        return redis.Redis(unix_socket_path=str(self.command("socket")))

    def log(self, name: str) -> str:
        return (self.data / f"{name}.log").read_text(errors="replace")

    def results_of(self, person: "Person") -> dict[str, Path]:
        """Return the result folder of each finished analysis of a user, as in the database."""
        code = (
            "from classifier.models import Analysis; from classifier import storage; import json; "
            f"rows = Analysis.objects.filter(owner__username='{person.name}', state='done'); "
            "found = [[str(r.pk), str(storage.analysis_folder(r.pk, r.token))] for r in rows]; "
            "print(json.dumps(found))"
        )
        rows = json.loads(self.manage("shell", "--no-imports", "-c", code).splitlines()[-1])
        assert len({pk for pk, _ in rows}) == len(rows)
        return {pk: Path(folder) for pk, folder in rows}

    def result_folders(self) -> list[Path]:
        return sorted((self.data / "media" / "analyses").glob("*/*"))

    def _broker_answers(self) -> bool:
        try:
            return bool(self.broker().ping())
        except redis.RedisError:
            return False

    def _web_answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/account/sign-in/", timeout=5).ok
        except requests.RequestException:
            return False

    # --- users ----------------------------------------------------------------------------

    def person(self) -> "Person":
        """Create a user who is signed in on the pages and has an API token."""
        return Person(self, f"user-{secrets.token_hex(4)}")


class Person:
    """A user with a session on the pages and an API token."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name
        self.browser = requests.Session()
        form = self.post_page(
            "/account/sign-up/", username=name, password1=PASSWORD, password2=PASSWORD
        )
        assert form.url.endswith("/"), form.text
        response = requests.post(
            f"{server.url}/api/v1/token/",
            json={"username": name, "password": PASSWORD},
            timeout=30,
        )
        self.token = response.json()["token"]
        self.headers = {"Authorization": f"Token {self.token}"}

    def sign_in(self, context: "BrowserContext") -> None:
        """Give a browser the session of this user."""
        for one in self.browser.cookies:
            context.add_cookies(
                [{"name": one.name, "value": one.value or "", "url": self.server.url}]
            )

    def page(self, path: str) -> requests.Response:
        return self.browser.get(self.server.url + path, timeout=30)

    def post_page(self, path: str, files: Any = None, **fields: str) -> requests.Response:
        if "csrftoken" not in self.browser.cookies:
            self.browser.get(f"{self.server.url}/account/sign-in/", timeout=30)
        fields["csrfmiddlewaretoken"] = self.browser.cookies["csrftoken"]
        return self.browser.post(
            self.server.url + path,
            data=fields, files=files, timeout=60, headers={"Referer": self.server.url},
        )  # fmt: skip

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(self.server.url + path, headers=self.headers | headers, timeout=30)

    def post_json(self, path: str, **fields: Any) -> dict[str, Any]:
        """POST to the API and return the body of its answer."""
        response = requests.post(
            self.server.url + path, json=fields, headers=self.headers, timeout=30
        )
        assert response.ok, response.text
        return response.json()

    def upload(
        self, name: str, data: bytes, again: bool = False, checkpoint: str = "", **headers: str
    ) -> requests.Response:
        return requests.post(
            f"{self.server.url}/api/v1/clips/",
            params={"again": "true"} if again else {},
            headers=self.headers | headers,
            data={"checkpoint": checkpoint},
            files={"file": (name, data)},
            timeout=60,
        )

    def submit(self, name: str, data: bytes, again: bool = False, checkpoint: str = "") -> str:
        """Upload a file over REST and return the URL of its analysis."""
        response = self.upload(name, data, again, checkpoint)
        assert response.status_code == 202, response.text
        return response.headers["Location"]

    def wait(self, location: str, limit_s: float = 90) -> dict[str, Any]:
        """Poll an analysis until it is done or failed."""
        seen: dict[str, Any] = {}

        def finished() -> bool:
            response = self.get(location)
            assert response.status_code == 200, response.text
            seen.update(response.json())
            return seen["state"] not in ("queued", "running")

        wait_for(finished, limit_s, location)
        return seen


def wait_for(check: Callable[[], bool], limit_s: float, what: str, every_s: float = 0.1) -> None:
    """Wait until `check` returns true; `what` describes it in the error after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Timed out after {limit_s} s waiting for {what}")
        time.sleep(every_s)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def prepare(env: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "webapp.prepare"],
        cwd=ROOT, env=env, check=True, capture_output=True,
    )  # fmt: skip


@cache
def prepared_data() -> "tempfile.TemporaryDirectory[str]":
    """Return a new data folder with SQLite, which is made once and copied for each server."""
    folder = tempfile.TemporaryDirectory(prefix="sonoscope-prepared-")
    own = {"SONOSCOPE_DATA": folder.name, "DATABASE_URL": ""}
    prepare(os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"} | own)
    return folder


def create_database(server_url: str) -> str:
    """Create an empty database on a PostgreSQL server and return its URL."""
    if not server_url:
        return ""
    name = f"sonoscope_{secrets.token_hex(6)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def drop_database(server_url: str, database_url: str) -> None:
    name = urlsplit(database_url).path[1:]
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def chromium() -> str | None:
    """Return the path of Chromium: `CHROMIUM`, or an installed one, or None."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
