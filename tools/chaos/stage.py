"""Where a fault is played: a server of its own, a client, and a note of every strike."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from random import Random

from tests import checkpoints
from tests.server import Server, wait_for
from tools.chaos.accounts import UNDER_WAY, Account, account
from tools.chaos.client import Client
from tools.chaos.outside import Outside
from tools.chaos.prefork import QuickHouse

# As many clips wait while faults are done, so that each strikes work.
WAITING = 32
# For what waits for a lease after the last fault, and for the work itself on a slow machine.
LIMIT_S = 900


class Skipped(Exception):
    """Why a fault cannot be done here."""


@dataclass(frozen=True, slots=True)
class Strike:
    """at_s: Unix time · in_flight: clips that a worker held."""

    at_s: float
    in_flight: int


@dataclass(slots=True)
class Stage:
    server: Server
    client: Client
    outside: Outside
    seed: int
    clips: int
    times: int
    checkpoint: Path
    random: Random = field(init=False)
    strikes: list[Strike] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # By the monotonic clock: no more faults from then on.
    until_s: float = inf

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def rounds(self) -> Iterator[int]:
        """One for each time that the fault is to be done, as long as there is time for it."""
        for number in range(self.times):
            if time.monotonic() > self.until_s:
                return
            yield number

    # --- work -----------------------------------------------------------------------------

    def fill(self, waiting: int = WAITING) -> None:
        """Upload until so many clips wait that no fault has struck yet."""
        missing = waiting - len(self.outside.rows("state = 'queued' AND NOT alone"))
        for _ in range(missing):
            self.client.send()

    def send_rest(self) -> None:
        while len(self.client.accepted) < self.clips:
            self.client.send(patient=True)

    def strike(self) -> None:
        """Now a fault comes: note what it hits."""
        self.strikes.append(Strike(time.time(), self.outside.count("running")))

    def sleep(self, least_s: float, most_s: float) -> None:
        time.sleep(self.random.uniform(least_s, most_s))

    def expect(self, true: bool, what: str) -> None:
        """What a scenario promises beside the account."""
        if not true:
            self.notes.append(f"NOT AS PROMISED: {what}")

    @contextmanager
    def new_claim(self) -> Iterator[None]:
        """Waits, at its end, for a claim that was not there at its beginning."""
        before = self.outside.tokens()
        yield
        wait_for(lambda: bool(self.outside.tokens() - before), 120, "a claim", every_s=0.03)

    # --- the end --------------------------------------------------------------------------

    def under_way(self) -> int:
        return self.outside.count(*UNDER_WAY)

    def drain(self) -> None:
        """Wait until everything has ended, however it did."""
        with suppress(TimeoutError):
            wait_for(lambda: not self.under_way(), LIMIT_S, "the end", every_s=0.3)

    def settle(self) -> Account:
        """What has not ended within the limit counts as lost."""
        self.send_rest()
        self.drain()
        return account(self.client, self.outside)

    def recoveries_s(self) -> list[float]:
        """From each strike to the next clip that ended."""
        ends = self.outside.ended_at_s()
        found = []
        for strike in self.strikes:
            later = next((end for end in ends if end > strike.at_s), None)
            if later is not None:
                found.append(later - strike.at_s)
        return sorted(found)


@contextmanager
def stage(data: Path, seed: int, clips: int, times: int, **settings: str) -> Iterator[Stage]:
    """A server that hears with the small checkpoint."""
    small = checkpoints.small_copy(data / "checkpoints" / "small.safetensors")
    server = QuickHouse(data, **{"CHECKPOINT": str(small), **settings})
    try:
        server.open()
        outside = Outside(server)
        outside.watch()
        yield Stage(server, Client(server, seed), outside, seed, clips, times, small)
    finally:
        server.close()


Play = Callable[[Stage], None]
