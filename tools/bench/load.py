"""Measure the load of fifty concurrent uploaders for five minutes: `python -m tools.bench.load`.

Each uploads a sound over the API, polls its state at the interval of Retry-After until it is done,
and uploads the next. This closed loop measures the server's capacity. The memory of the server's
processes is measured every five seconds. Quotas and rate limits are raised.
"""

import argparse
import io
import itertools
import json
import os
import platform
import statistics
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import requests
import soundfile

from tests.server import Person, Server

PEOPLE = 10
INTERVAL_S = 5.0
PAGE_KB = os.sysconf("SC_PAGE_SIZE") / 1024


@dataclass(slots=True)
class Counts:
    """The results of all loops; every loop appends to them."""

    accepted_s: list[float] = field(default_factory=list)
    done_s: list[float] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


def sound(seed: int) -> bytes:
    """Return five seconds of noise as WAV, different for each seed."""
    noise = np.random.default_rng(seed).normal(0, 0.1, 5 * 22_050).astype(np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, noise, 22_050, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def loop(person: Person, numbers: "itertools.count[int]", until: float, counts: Counts) -> None:
    while time.monotonic() < until:
        number = next(numbers)
        started = time.monotonic()
        try:
            response = person.upload(f"{number}.wav", sound(number))
            if response.status_code != 202:
                counts.errors.append(f"upload: {response.status_code} {response.text[:200]}")
                continue
            counts.accepted_s.append(time.monotonic() - started)
            counts.states[finished(person, response.headers["Location"])] += 1
            counts.done_s.append(time.monotonic() - started)
        except requests.RequestException as error:
            counts.errors.append(repr(error))


def finished(person: Person, location: str) -> str:
    """Poll an analysis at the server's Retry-After and return its last state."""
    while True:
        response = person.get(location)
        response.raise_for_status()
        state = response.json()["state"]
        if state not in ("queued", "running"):
            return state
        time.sleep(float(response.headers.get("Retry-After", 1)))


def memory_mb(server: Server) -> dict[str, float]:
    """Return the resident memory of each process with its children.

    Shared pages count in each of them.
    """
    groups = {process.pid: name for name, process in server.processes.items()}
    found = dict.fromkeys(server.processes, 0.0)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            group = os.getpgid(int(folder.name))
            pages = int((folder / "statm").read_text().split()[1])
        except (ProcessLookupError, FileNotFoundError):
            continue  # it ended meanwhile
        if group in groups:
            found[groups[group]] += pages * PAGE_KB / 1024
    return found


def watch(server: Server, ended: threading.Event, seen: list[dict[str, float]]) -> None:
    while not ended.wait(INTERVAL_S):
        seen.append(memory_mb(server))


def flatness(seen: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the median memory of the second and the last sixth, and the maximum, by process.

    The first sixth is the start and is left out of the medians.
    """
    sixth = max(1, len(seen) // 6)
    parts = {"early, MB": seen[sixth : 2 * sixth], "late, MB": seen[-sixth:]}
    table: dict[str, dict[str, float]] = {}
    for name in seen[0]:
        table[name] = {
            when: round(statistics.median(row[name] for row in rows))
            for when, rows in parts.items()
        }
        table[name]["maximum, MB"] = round(max(row[name] for row in seen))
    return table


def spread(times: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=20)
    return {"p50": round(statistics.median(times), 3), "p95": round(cuts[-1], 3)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.load", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--uploaders", type=int, default=50)
    options = parser.parse_args()
    raised = {"MAX_WAITING_CLIPS": "1000000", "MAX_GB_PER_DAY": "1000000"}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), LEASE_S="60", SWEEP_EVERY_S="5", **raised)
        server.open()
        try:
            figures = measure(server, options.uploaders, 60 * options.minutes)
        finally:
            server.close()
    print(json.dumps(figures, indent=2, ensure_ascii=False))


def measure(server: Server, uploaders: int, seconds: float) -> dict[str, object]:
    people = [server.person() for _ in range(PEOPLE)]
    first = people[0]
    first.wait(first.submit("first.wav", sound(0)))  # the worker loads its weights
    counts, numbers, seen = Counts(), itertools.count(1), [memory_mb(server)]
    ended = threading.Event()
    watcher = threading.Thread(target=watch, args=(server, ended, seen))
    watcher.start()
    started = time.monotonic()
    until = started + seconds
    with ThreadPoolExecutor(uploaders) as pool:
        loops = [
            pool.submit(loop, people[number % PEOPLE], numbers, until, counts)
            for number in range(uploaders)
        ]
    for ran in loops:
        ran.result()
    taken_s = time.monotonic() - started
    ended.set()
    watcher.join()
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load at the end": round(os.getloadavg()[0], 1),
        "database": "PostgreSQL" if server.database_url else "SQLite",
        "uploaders": uploaders,
        "seconds": round(taken_s, 1),
        "states": dict(counts.states),
        "errors": counts.errors[:20],
        "number of errors": len(counts.errors),
        "clips per second": round(len(counts.done_s) / taken_s, 2),
        "until accepted, s": spread(counts.accepted_s),
        "until done, s": spread(counts.done_s),
        "memory": flatness(seen),
    }


if __name__ == "__main__":
    main()
