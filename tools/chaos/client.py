"""The client that uploads clips and records which were accepted."""

import hashlib
import itertools
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
import requests

from tests import fixtures
from tests.server import Person, Server

RATE_HZ = 16_000


@dataclass(slots=True)
class Accepted:
    """An accepted upload; `healthy` clips must end as done."""

    analysis: UUID
    clip: UUID
    sha256: str
    healthy: bool = True


@dataclass(slots=True)
class Client:
    """Uploads clips, from several threads if needed.

    Attributes
    ----------
    accepted : accepted uploads by number
    refused : number of other responses by status or error
    """

    server: Server
    seed: int
    accepted: dict[int, Accepted] = field(default_factory=dict)
    deleted: set[UUID] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    person: Person = field(init=False)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.person = self.server.person()

    def sound(self, number: int, duration_s: float = 0.5) -> bytes:
        """Return noise that is different for each upload."""
        drawn = np.random.default_rng((self.seed, number)).standard_normal(
            round(duration_s * RATE_HZ)
        )
        return fixtures.encode(np.clip(0.2 * drawn, -1, 1).astype(np.float32), RATE_HZ)

    def send(self, duration_s: float = 0.5, retry: bool = False) -> Accepted | None:
        """Upload a new clip; return None if it was not accepted.

        With `retry`, repeat the request with the same Idempotency-Key until it is accepted.
        """
        number, key = next(self.numbers), secrets.token_hex(8)
        data = self.sound(number, duration_s)
        while True:
            refused, payload = self._post(f"{number}.wav", data, key)
            with self.lock:
                if payload:
                    return self._record(number, data, payload)
                self.refused[refused] += 1
            if not retry:
                return None
            time.sleep(0.2)

    def delete(self, one: Accepted) -> bool:
        address = f"{self.server.url}/api/v1/clips/{one.clip}/"
        response = requests.delete(address, headers=self.person.headers, timeout=60)
        if response.status_code == requests.codes.no_content:
            self.deleted.add(one.clip)
        return one.clip in self.deleted

    def _post(self, name: str, data: bytes, key: str) -> tuple[str, dict[str, str]]:
        """Return the reason of a refusal, or an empty string and the response body."""
        try:
            response = requests.post(
                f"{self.server.url}/api/v1/clips/",
                headers=self.person.headers | {"Idempotency-Key": key},
                files={"file": (name, data)},
                timeout=60,
            )
            if response.status_code in (requests.codes.ok, requests.codes.accepted):
                return "", response.json()
        except requests.RequestException as error:
            return type(error).__name__, {}
        code = response.json()["code"] if "json" in response.headers["Content-Type"] else ""
        return f"{response.status_code} {code}".strip(), {}

    def _record(self, number: int, data: bytes, payload: dict[str, str]) -> Accepted:
        sha256 = hashlib.sha256(data).hexdigest()
        known = Accepted(UUID(payload["analysis"]), UUID(payload["clip"]), sha256)
        self.accepted[number] = known
        return known
