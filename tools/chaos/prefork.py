"""Workers that start quickly, forked from a process that has imported everything.

A worker's start consists almost entirely of imports, and faults must hit its work. A forked worker
runs the command line of `webapp.processes.worker`.
"""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.server import ROOT, Server


class ForkedProcess:
    """The part of Popen's interface that `Server` uses, for a child of the prefork process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def poll(self) -> int | None:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("worker", timeout)
            time.sleep(0.01)
        return 0


class ForkingServer(Server):
    """A server whose workers are forked from one process."""

    parent: "subprocess.Popen[str] | None" = None

    def start(self, name: str, alias: str = "") -> None:
        if name != "worker":
            super().start(name, alias)
            return
        if self.parent is None:
            self.parent = subprocess.Popen(
                [sys.executable, "-m", "tools.chaos.prefork", *self.command("worker")[3:]],
                cwd=ROOT, env=self.env, text=True, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        alias = alias or name
        assert self.parent.stdin and self.parent.stdout
        self.parent.stdin.write(f"{alias}\t{self.data / f'{alias}.log'}\n")
        self.parent.stdin.flush()
        self.processes[alias] = ForkedProcess(int(self.parent.stdout.readline()))  # type: ignore[assignment]

    def close(self) -> None:
        super().close()
        if self.parent:
            self.parent.communicate()


def main() -> None:
    import django
    import torch

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    django.setup()

    for name in ("celery.bin.worker", "celery.concurrency.prefork", "tasks.inspect"):
        importlib.import_module(name)
    from tasks.analyse import load_classifier

    # Further threads of PyTorch's would make a fork hang.
    torch.set_num_threads(1)
    load_classifier("")

    # Children are reaped at once, so that `poll` sees that they ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        name, log = line.rstrip("\n").split("\t")
        if os.fork() == 0:
            become_worker(name, Path(log))


def become_worker(name: str, log: Path) -> None:
    from celery.__main__ import main as celery_main

    os.setsid()
    # Report the process id only now, when the whole process group can be killed.
    print(os.getpid(), flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with log.open("ab") as out, open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    sys.argv = ["celery", *sys.argv[1:], "-n", f"{name}@%h"]
    sys.exit(celery_main())


if __name__ == "__main__":
    main()
