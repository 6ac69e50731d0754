"""Everything on one machine: `python -m webapp.serve`, which `make run` calls.

Prepares the data folder, then starts broker, worker, sweep and web under supervisord,
and stops them all on Ctrl-C.
"""

import fcntl
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TextIO

START_LIMIT_S = 90
STOP_LIMIT_S = 60


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    import django

    django.setup()
    from django.conf import settings

    run_folder = Path(settings.DATA) / "run"
    run_folder.mkdir(parents=True, exist_ok=True)
    lock = take_lock(run_folder / "lock")
    if lock is None:
        running = json.loads((run_folder / "lock").read_text() or "{}")
        print(f"Sonoscope is already running at {running.get('url', settings.ORIGIN)}")
        print(f"To stop it: Ctrl-C where it runs, or kill {running.get('pid', '…')}")
        return 1
    if in_use(settings.HOST, settings.PORT):
        print(f"Port {settings.PORT} is used by another program. Choose one: make run PORT=8001")
        return 1
    password = prepare(settings)
    log_folder = Path(settings.DATA) / "log"
    configuration = run_folder / "supervisord.conf"
    configuration.write_text(supervisor_configuration(settings, run_folder, log_folder))

    supervisor = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(configuration)],
        cwd=settings.BASE_DIR,
        env=os.environ | {"REMAP_SIGTERM": "SIGQUIT"},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        # While anything of this start lives, the lock is held.
        pass_fds=[lock.fileno()],
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.terminate())
    lock.write(json.dumps({"pid": supervisor.pid, "url": settings.ORIGIN}))
    lock.flush()

    if answers(settings.PORT, supervisor):
        print(f"\nSonoscope listens at {settings.ORIGIN}\n")
        if password:
            print(f"First admin: {password[0]}\nPassword:    {password[1]}  (shown this once)\n")
        print(f"Logs are in {log_folder}. Ctrl-C stops everything.", flush=True)
    elif supervisor.poll() is None:
        print(f"The web process does not answer. See {log_folder / 'web.log'}", file=sys.stderr)
        supervisor.terminate()
        supervisor.wait(STOP_LIMIT_S)
        return 1
    supervisor.wait()
    print("Stopped.")
    return 0


def take_lock(path: Path) -> TextIO | None:
    """The open, locked file, emptied; None if somebody holds it."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.truncate(0)
    return file


def in_use(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def prepare(settings) -> tuple[str, str] | None:
    """Database, static files, first admin. Returns the admin's name and password if just made."""
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    if User.objects.filter(is_superuser=True).exists():
        return None
    name = os.environ.get("ADMIN_USER") or "admin"
    password = os.environ.get("ADMIN_PASSWORD") or secrets.token_urlsafe(12)
    User.objects.create_superuser(name, password=password)
    return name, password


def stop_leftover_broker(path: Path) -> None:
    """A supervisor that was killed leaves its broker behind; its data is on disk."""
    import redis

    if not path.exists():
        return
    try:
        redis.Redis(unix_socket_path=str(path), socket_timeout=5).shutdown()
    except redis.ConnectionError:
        path.unlink()


def supervisor_configuration(settings, run_folder: Path, log_folder: Path) -> str:
    from webapp import processes

    log_folder.mkdir(parents=True, exist_ok=True)
    programs = {
        "worker": processes.worker(),
        "sweep": processes.sweep(),
        "web": processes.web(),
    }
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
        "nodaemon=true",
    ]
    for priority, (name, command) in enumerate(programs.items()):
        lines += [
            f"[program:{name}]",
            f"command={_escape(shlex.join(command))}",
            f"priority={priority}",
            "autorestart=true",
            "startretries=1000",
            "stopasgroup=false",
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


def answers(port: int, supervisor: subprocess.Popen) -> bool:
    """Whether the web process comes to life before the limit, or before the supervisor ends."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and supervisor.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/account/sign-in/", timeout=5):
                return True
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    return False


if __name__ == "__main__":
    sys.exit(main())
