"""All faults by name, in the order of the table."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.chaos import brokers, crashing_files, databases, disks, endpoints, workers
from tools.chaos.stage import Play, Stage

Place = Callable[[Path], AbstractContextManager[dict[str, str]]]


@contextmanager
def anywhere(data: Path) -> Iterator[dict[str, str]]:
    """The embedded default, or the servers that DATABASE_URL and REDIS_URL name."""
    yield {}


@dataclass(frozen=True, slots=True)
class Scenario:
    """title: the fault in the table's words · place: what must stand around the server, and the
    settings that lead to it."""

    name: str
    title: str
    play: Play
    times: int
    clips: int
    place: Place = anywhere


def nothing(stage: Stage) -> None:
    """The control has no server."""


CONTROL = Scenario("control", "*control:* plain Celery's worker killed", nothing, 200, 2000)
ALL = (
    Scenario("kills", "worker killed (`kill -9`, whole tree)", workers.kills, 200, 2000),
    CONTROL,
    Scenario("segfault", "worker's child segfaults on one clip", crashing_files.segfault, 3, 60),
    Scenario("memory", "worker's child out of memory on one clip", crashing_files.memory, 2, 60),
    Scenario("deploys", "worker replaced softly (SIGTERM)", workers.deploys, 20, 400),
    Scenario("two", "worker stands still, a second takes its clips", workers.two, 10, 300),
    Scenario("messages", "every message 5 times more, and late", brokers.messages, 5, 200),
    Scenario("replaced", "checkpoint replaced, or half there", workers.replaced, 6, 200),
    Scenario("broker", "broker restarted (SIGTERM, `kill -9`)", brokers.restarts, 20, 600),
    Scenario("wipes", "broker wiped (FLUSHDB)", brokers.wipes, 5, 300),
    Scenario("frozen", "broker stands still for 2 min", brokers.frozen, 1, 200),
    Scenario("away", "broker away while clips are uploaded", brokers.away, 3, 40),
    Scenario(
        "postgres", "PostgreSQL restarted (fast, immediate)",
        databases.restarts, 10, 300, databases.server,
    ),
    Scenario("locked", "SQLite locked for 15 s", databases.locked, 3, 150),
    Scenario("full", "disk full under `media/`", disks.full, 10, 300, disks.small),
    Scenario("web", "web killed in the middle of uploads", endpoints.killed, 10, 200),
    Scenario("deleted", "clips deleted while they are heard", endpoints.deleted, 10, 200),
    Scenario("clock", "clock jumps an hour, ahead or back", endpoints.clock, 8, 200),
)  # fmt: skip
SCENARIOS = {one.name: one for one in ALL}
