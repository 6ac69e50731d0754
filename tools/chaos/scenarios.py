"""The faults by name, in the order of the table."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.chaos import brokers, crashing_files, databases, disks, endpoints, workers
from tools.chaos.harness import Fault, Harness

Setup = Callable[[Path], AbstractContextManager[dict[str, str]]]


@contextmanager
def no_setup(data: Path) -> Iterator[dict[str, str]]:
    """Use the embedded defaults, or the servers named in DATABASE_URL and REDIS_URL."""
    yield {}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault and how often it is injected.

    Attributes
    ----------
    title : name of the fault in the table
    setup : prepares what the server needs and returns settings for it
    """

    name: str
    title: str
    inject: Fault
    times: int
    clips: int
    setup: Setup = no_setup


def no_fault(harness: Harness) -> None:
    """Do nothing: the control has no server."""


CONTROL = Scenario("control", "*control:* plain Celery worker killed", no_fault, 200, 2000)
ALL = (
    Scenario("kills", "worker killed (SIGKILL, whole process group)", workers.kills, 200, 2000),
    CONTROL,
    Scenario("segfault", "child process crashes on a clip", crashing_files.segfault, 3, 60),
    Scenario("memory", "child process out of memory on a clip", crashing_files.memory, 2, 60),
    Scenario("deploys", "worker replaced gracefully (SIGTERM)", workers.deploys, 20, 400),
    Scenario("paused", "worker paused while a second claims its clips", workers.paused, 10, 300),
    Scenario("duplicates", "messages sent 6 times, and again later", brokers.duplicates, 5, 200),
    Scenario("checkpoint", "checkpoint replaced or truncated", workers.replaced, 6, 200),
    Scenario("broker", "broker restarted (SIGTERM, SIGKILL)", brokers.restarts, 20, 600),
    Scenario("wipes", "broker emptied (FLUSHDB)", brokers.wipes, 5, 300),
    Scenario("broker_paused", "broker paused for 2 min (SIGSTOP)", brokers.paused, 1, 200),
    Scenario("broker_down", "broker down during uploads", brokers.stopped, 3, 40),
    Scenario(
        "postgres", "PostgreSQL restarted (fast, immediate)",
        databases.restarts, 10, 300, databases.server,
    ),
    Scenario("locked", "SQLite locked for 15 s", databases.locked, 3, 150),
    Scenario("disk_full", "disk full under `media/`", disks.full, 10, 300, disks.small),
    Scenario("web", "web processes killed during uploads", endpoints.killed, 10, 200),
    Scenario("deleted", "clips deleted during analysis", endpoints.deleted, 10, 200),
    Scenario("clock", "clock jumps an hour forward or back", endpoints.clock, 8, 200),
)  # fmt: skip
SCENARIOS = {one.name: one for one in ALL}
