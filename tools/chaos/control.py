"""The control: kill the worker of a plain Celery application in the same way."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import redis
from celery import Celery

from tests.server import ROOT, kill_group, wait_for
from tools.chaos import report
from tools.chaos.audit import Audit
from tools.chaos.control_tasks import VISIBILITY_S
from tools.chaos.harness import WAITING
from tools.chaos.workers import WORK_S
from webapp import processes

START_S = 2.0
QUEUE, UNACKED = "celery", "unacked"


class PlainCelery:
    """A broker, one worker, and a file in which each finished task is recorded."""

    def __init__(self, folder: Path) -> None:
        self.done = folder / "done"
        self.done.touch()
        socket = folder / "broker.sock"
        self.env = os.environ | {
            "CONTROL_BROKER": f"redis+socket://{socket}?virtual_host=0",
            "CONTROL_DONE": str(self.done),
        }
        self.log = (folder / "log").open("ab")
        self.broker = self._start(processes.broker(socket, folder))
        self.redis = redis.Redis(unix_socket_path=str(socket))
        wait_for(self._answers, 10, "the broker")
        self.sender = Celery(broker=self.env["CONTROL_BROKER"], set_as_current=False)
        self.sent = 0
        self.restart()

    def restart(self) -> None:
        self.worker = self._start(
            [
                *(sys.executable, "-m", "celery", "-A", "tools.chaos.control_tasks", "worker"),
                *("-P", "prefork", "-c", "1", "--without-gossip", "--without-mingle"),
            ]
        )

    def send(self, count: int) -> None:
        for _ in range(count):
            self.sent += 1
            self.sender.send_task("control.work", [self.sent])

    def ends(self) -> list[tuple[int, float]]:
        lines = self.done.read_text().splitlines()
        return [(int(number), float(at)) for number, at in (line.split() for line in lines)]

    def unacknowledged(self) -> int:
        return int(self.redis.hlen(UNACKED))

    def waiting(self) -> int:
        return int(self.redis.llen(QUEUE)) + self.unacknowledged()

    def close(self) -> None:
        for process in (self.worker, self.broker):
            kill_group(process)
            process.wait(10)
        self.log.close()

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError):
            return bool(self.redis.ping())
        return False

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, cwd=ROOT, env=self.env, stdout=self.log, stderr=self.log,
            start_new_session=True,
        )  # fmt: skip


def run(name: str, title: str, seed: int, clips: int, times: int) -> report.Line:
    """Kill the worker at the same moments as `workers.kills`."""
    random, began, injected_s, in_flight = Random(seed), time.monotonic(), [], []
    with tempfile.TemporaryDirectory(prefix="control-") as folder:
        plain = PlainCelery(Path(folder))
        for _ in range(times):
            plain.send(WAITING - plain.waiting())
            if random.random() < 0.1:
                time.sleep(random.uniform(0, START_S))
            else:
                _wait_for_more(plain)
                time.sleep(random.uniform(0, WORK_S))
            injected_s.append(time.time())
            in_flight.append(plain.unacknowledged())
            kill_group(plain.worker)
            plain.worker.wait(10)
            plain.restart()
        plain.send(clips - plain.sent)
        wait_for(lambda: not plain.waiting(), 600, "an empty broker", every_s=1)
        # Unacknowledged messages have been delivered again by then.
        time.sleep(2 * VISIBILITY_S)
        wait_for(lambda: not plain.waiting(), 600, "an empty broker", every_s=1)
        ends = plain.ends()
        plain.close()
    runs = Counter(number for number, _ in ends)
    found = Audit(
        accepted=plain.sent,
        done=len(runs),
        lost=plain.sent - len(runs),
        doubled=sum(times > 1 for times in runs.values()),
        failed=0, orphans=0, swept=0, reasons={}, examples=(),
    )  # fmt: skip
    recoveries = [
        min((at_s - injected for _, at_s in ends if at_s > injected), default=0)
        for injected in injected_s
    ]
    return report.Line(
        name=name, title=title, in_flight=tuple(in_flight), found=found, refused={},
        recovery_s=tuple(sorted(recoveries)), notes=(), seed=seed,
        took_s=round(time.monotonic() - began),
    )  # fmt: skip


def _wait_for_more(plain: PlainCelery) -> None:
    size_bytes = plain.done.stat().st_size
    wait_for(lambda: plain.done.stat().st_size > size_bytes, 120, "a finished task", every_s=0.02)
