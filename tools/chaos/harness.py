"""The test harness of a fault: a new server, a client and a record of every injection."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from random import Random

from tests import checkpoints
from tests.server import Server, wait_for
from tools.chaos.audit import UNFINISHED, Audit, audit
from tools.chaos.client import Client
from tools.chaos.observer import Observer
from tools.chaos.prefork import ForkingServer

# Number of waiting clips while faults are injected, so that workers always have work.
WAITING = 32
# Includes the leases that must expire after the last fault, and the work on a slow machine.
LIMIT_S = 900


class Skipped(Exception):
    """A fault cannot be injected on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Injection:
    """One injection of a fault.

    Attributes
    ----------
    at_s : Unix time
    in_flight : number of clips that a worker held
    """

    at_s: float
    in_flight: int


@dataclass(slots=True)
class Harness:
    server: Server
    client: Client
    observer: Observer
    seed: int
    clips: int
    times: int
    checkpoint: Path
    random: Random = field(init=False)
    injections: list[Injection] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # Monotonic time after which no more faults are injected.
    until_s: float = inf

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def repetitions(self) -> Iterator[int]:
        """Yield the number of each injection until the time is up."""
        for number in range(self.times):
            if time.monotonic() > self.until_s:
                return
            yield number

    # --- work -----------------------------------------------------------------------------

    def fill_queue(self, waiting: int = WAITING) -> None:
        """Upload until this many clips wait that no fault has interrupted yet."""
        missing = waiting - len(self.observer.rows("state = 'queued' AND NOT alone"))
        for _ in range(missing):
            self.client.send()

    def send_rest(self) -> None:
        while len(self.client.accepted) < self.clips:
            self.client.send(retry=True)

    def record_injection(self) -> None:
        """Record the time of an injection and the number of clips in flight."""
        self.injections.append(Injection(time.time(), self.observer.count("running")))

    def sleep(self, min_s: float, max_s: float) -> None:
        time.sleep(self.random.uniform(min_s, max_s))

    def expect(self, condition: bool, failure: str) -> None:
        """Record a failed expectation of a scenario, in addition to the audit."""
        if not condition:
            self.notes.append(f"FAILED: {failure}")

    def expect_no_refusal(self) -> None:
        self.expect(not self.client.refused, f"uploads were refused: {dict(self.client.refused)}")

    @contextmanager
    def new_claim(self) -> Iterator[None]:
        """Wait at the end of the block for a claim that did not exist at its start."""
        before = self.observer.tokens()
        yield
        wait_for(lambda: bool(self.observer.tokens() - before), 120, "a claim", every_s=0.03)

    # --- the end --------------------------------------------------------------------------

    def unfinished(self) -> int:
        return self.observer.count(*UNFINISHED)

    def drain(self) -> None:
        """Wait until all analyses have ended."""
        with suppress(TimeoutError):
            wait_for(lambda: not self.unfinished(), LIMIT_S, "all analyses", every_s=0.3)

    def finish(self) -> Audit:
        """Wait for the end and compare; analyses that have not ended in time count as lost."""
        self.send_rest()
        self.drain()
        return audit(self.client, self.observer)

    def recoveries_s(self) -> list[float]:
        """Return the times from each injection to the next clip that ended."""
        ends = self.observer.ended_at_s()
        found = []
        for injection in self.injections:
            later = next((end for end in ends if end > injection.at_s), None)
            if later is not None:
                found.append(later - injection.at_s)
        return sorted(found)


@contextmanager
def start_harness(
    data: Path, seed: int, clips: int, times: int, **settings: str
) -> Iterator[Harness]:
    """Start a server with the small checkpoint."""
    small = checkpoints.small_copy(data / "checkpoints" / "small.safetensors")
    server = ForkingServer(data, **{"CHECKPOINT": str(small), **settings})
    try:
        server.open()
        observer = Observer(server)
        observer.watch()
        yield Harness(server, Client(server, seed), observer, seed, clips, times, small)
    finally:
        server.close()


Fault = Callable[[Harness], None]
