"""Run everything on one machine: `python -m webapp.serve`, which `make run` calls.

Prepares the data folder, then starts broker, worker, sweep and web under supervisord,
and stops them all on Ctrl-C.
"""

import errno
import fcntl
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TextIO

import redis
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from ml.checkpoint_info import CheckpointError, read_info
from webapp import processes
from webapp.prepare import main, prepare

START_LIMIT_S = 90
STOP_LIMIT_S = 60


class Refused(ImproperlyConfigured):
    """Sonoscope cannot start, or has stopped; the message is for the operator."""


def run() -> None:
    """Start all processes and wait until they end or a signal arrives, then stop them.

    Raises
    ------
    Refused
        It is already running, the port is in use, the checkpoint is unusable, the web process does
        not respond in time, or the supervisor stops unexpectedly.
    ImproperlyConfigured
        As `prepare` raises it.
    """
    run_folder = Path(settings.DATA) / "run"
    run_folder.mkdir(parents=True, exist_ok=True)
    lock = take_lock(run_folder / "lock")
    check_port(settings.HOST, settings.PORT)
    try:
        read_info(Path(settings.CHECKPOINT))
    except (CheckpointError, OSError) as error:
        raise Refused(f"The checkpoint cannot be used: {error}") from error
    prepare()
    log_folder = Path(settings.DATA) / "log"
    configuration = run_folder / "supervisord.conf"
    configuration.write_text(supervisor_configuration(run_folder, log_folder))

    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    supervisor = subprocess.Popen(  # noqa: S603 - our own programs
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(configuration)],
        cwd=settings.BASE_DIR,
        env=os.environ | {"REMAP_SIGTERM": "SIGQUIT"},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        # If this process is killed, the supervisor keeps running, so it must hold the lock too.
        pass_fds=[lock.fileno()],
    )
    lock.write(json.dumps({"pid": supervisor.pid, "url": settings.ORIGIN}))
    lock.flush()

    answered = wait_for_answer(supervisor, stopping)
    if answered:
        print(f"\nSonoscope is running at {settings.ORIGIN}\n")
        print(f"Logs are in {log_folder}. Press Ctrl-C to stop.", flush=True)
        while supervisor.poll() is None and not stopping.wait(0.5):
            pass
    ended_itself = supervisor.poll() is not None
    supervisor.terminate()
    supervisor.wait(STOP_LIMIT_S)
    if ended_itself:
        raise Refused(f"The supervisor stopped unexpectedly. See {log_folder / 'supervisord.log'}")
    if not answered and not stopping.is_set():
        raise Refused(f"The web process is not responding. See {log_folder / 'web.log'}")
    print("Stopped.")


def take_lock(path: Path) -> TextIO:
    """Lock the file and return it, open and emptied.

    Raises
    ------
    Refused
        Another Sonoscope holds the lock.
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = json.loads(path.read_text() or "{}")
        raise Refused(
            f"Sonoscope is already running at {holder.get('url', settings.ORIGIN)}\n"
            f"To stop it, press Ctrl-C in its terminal, or run: kill {holder.get('pid', '…')}"
        ) from None
    file.truncate(0)
    return file


def check_port(host: str, port: int) -> None:
    """Check that the port can be bound.

    Raises
    ------
    Refused
        The port is in use, or the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise Refused(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
            raise Refused(
                f"Port {port} is already in use. Choose another port: make run PORT=8001\n"
                "(If an earlier run was killed, stop its remaining processes: pkill -f webapp.wsgi)"
            ) from error


def stop_leftover_broker(path: Path) -> None:
    """Stop the broker that a killed supervisor left running; its data is on disk.

    Raises
    ------
    Refused
        The broker does not stop.
    """
    if not path.exists():
        return
    try:
        redis.Redis(unix_socket_path=str(path), socket_timeout=10).shutdown()
    except (redis.TimeoutError, redis.BusyLoadingError) as error:
        raise Refused(
            f"The broker of an earlier run is still using {path}: {error}. Stop it and try again."
        ) from error
    except redis.ConnectionError:
        path.unlink()  # no broker listens there any more


def supervisor_configuration(run_folder: Path, log_folder: Path) -> str:
    log_folder.mkdir(parents=True, exist_ok=True)
    programs = {"worker": processes.worker(), "sweep": processes.sweep(), "web": processes.web()}
    if not settings.REDIS_URL:
        data = Path(settings.DATA) / "broker"
        data.mkdir(parents=True, exist_ok=True)
        settings.BROKER_SOCKET.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        stop_leftover_broker(settings.BROKER_SOCKET)
        programs = {"broker": processes.broker(settings.BROKER_SOCKET, data)} | programs
    lines = [
        "[supervisord]",
        f"logfile={_escape(log_folder / 'supervisord.log')}",
        f"pidfile={_escape(run_folder / 'supervisord.pid')}",
        "umask=077",
    ]
    for priority, (name, command) in enumerate(programs.items()):
        lines += [
            f"[program:{name}]",
            f"command={_escape(shlex.join(command))}",
            f"priority={priority}",
            "autorestart=true",
            "startretries=1000",
            "killasgroup=true",
            f"stopwaitsecs={STOP_LIMIT_S - 15}",
            "redirect_stderr=true",
            f"stdout_logfile={_escape(log_folder / f'{name}.log')}",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=3",
        ]
    return "\n".join(lines) + "\n"


def _escape(value: object) -> str:
    return str(value).replace("%", "%%")


def wait_for_answer(supervisor: subprocess.Popen[bytes], stopping: threading.Event) -> bool:
    """Wait until the web process responds, and return whether it does.

    The wait ends after `START_LIMIT_S` seconds, when the supervisor ends, or when `stopping` is
    set.
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.HOST, settings.HOST)  # noqa: S104 - looks for it
    url = f"http://{host}:{settings.PORT}/account/sign-in/"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and supervisor.poll() is None and not stopping.is_set():
        try:
            direct.open(url, timeout=5).close()
            return True
        except urllib.error.HTTPError:
            return True
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            stopping.wait(0.2)
    return False


if __name__ == "__main__":
    sys.exit(main(run))
