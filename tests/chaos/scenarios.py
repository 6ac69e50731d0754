"""All faults by name, in the order of the table."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import workers
from tests.chaos.stage import Play

Place = Callable[[Path], AbstractContextManager[dict[str, str]]]


@contextmanager
def anywhere(data: Path) -> Iterator[dict[str, str]]:
    """The embedded default, or the servers that DATABASE_URL and REDIS_URL name."""
    yield {}


@dataclass(frozen=True, slots=True)
class Scenario:
    """title: the fault in the table's words · place: what must stand around the house, and the
    settings that lead to it."""

    name: str
    title: str
    play: Play
    times: int
    clips: int
    place: Place = anywhere


SCENARIOS = {
    one.name: one
    for one in (
        Scenario("kills", "worker killed (`kill -9`, whole tree)", workers.kills, 200, 2000),
    )
}
