"""Measure a batch of 600 real clips and some bad files: `ESC50_DIR=… python -m tools.bench.folder`.

Submits the folder by command and by API, as different users. Reports the outcome of every file,
the duration, and the time that single uploads took meanwhile, until they were done. Submits it once
more without single uploads, and compares the clips per second with the network's bare forward pass,
measured before and after. `--busy` measures all of it beside a process that keeps one core busy.
"""

import argparse
import csv
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from tests import fixtures
from tests.server import ROOT, Person, Server, wait_for
from tools.bench.reference import busy_core, forward_rate
from training.config import esc50_dir

CLIPS, NO_SOUNDS, CUT, EMPTY, DUPLICATES = 600, 8, 7, 5, 10
SENDERS = 3


def make_folder(folder: Path, clips: int) -> dict[str, int]:
    """Write clips by label, with 20 bad files and some duplicates among them.

    Returns
    -------
    The expected result of the batch.
    """
    esc50 = esc50_dir()
    if esc50 is None:
        raise SystemExit("Set ESC50_DIR to a folder with audio/ and meta/esc50.csv.")
    with (esc50 / "meta" / "esc50.csv").open() as table:
        rows = list(csv.DictReader(table))[:clips]
    for row in rows:
        place = folder / row["category"]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(esc50 / "audio" / row["filename"], place / row["filename"])
    seen = {path.read_bytes() for path in folder.rglob("*.*")}
    for number in range(NO_SOUNDS):
        (folder / f"notes {number}.wav").write_text(f"These are notes {number}.")
    whole = (esc50 / "audio" / rows[0]["filename"]).read_bytes()
    for number in range(CUT):
        (folder / f"cut {number}.wav").write_bytes(whole[: 20 + number])
    for number in range(EMPTY):
        (folder / f"empty {number}.wav").touch()
    for number, row in enumerate(rows[:DUPLICATES]):
        source = folder / row["category"] / row["filename"]
        shutil.copyfile(source, folder / row["category"] / f"zz duplicate {number}.wav")
    return {
        "total": clips + NO_SOUNDS + CUT + EMPTY + DUPLICATES,
        "done": len(seen),
        "failed": NO_SOUNDS + CUT,
        "refused": EMPTY,
        "duplicate": DUPLICATES + clips - len(seen),
    }


def by_command(server: Server, person: Person, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "submit_folder", str(folder), "--user", person.name,
         "--json"],
        cwd=ROOT, env=server.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return json.loads(done.stdout)["batch"]


def by_api(server: Server, person: Person, folder: Path) -> str:
    address = f"{server.url}/api/v1/batches/"
    made = requests.post(address, json={"name": "API"}, headers=person.headers, timeout=30)
    batch = made.json()["id"]

    def send(path: Path) -> None:
        requests.post(
            f"{address}{batch}/files/",
            headers=person.headers,
            files={"file": (path.name, path.read_bytes())},
            data={"path": str(path.relative_to(folder))},
            timeout=60,
        ).raise_for_status()

    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(send, sorted(path for path in folder.rglob("*") if path.is_file())))
    return batch


class Singles:
    """A user who uploads one sound after the other while the folder is analysed."""

    def __init__(self, person: Person) -> None:
        self.person, self.ended = person, threading.Event()
        self.sent_s: list[float] = []
        self.taken_s: list[float] = []
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.ended.wait(0.5):
            self.one()

    def one(self) -> None:
        seed = time.monotonic_ns() % 2**32
        sound = fixtures.encode(fixtures.noise(5.0, 44_100, seed=seed), 44_100, "OGG")
        started = time.monotonic()
        where = self.person.submit("single.ogg", sound)
        self.sent_s.append(time.monotonic() - started)
        analysis = self.person.wait(where)
        assert analysis["state"] == "done", analysis["error"]
        self.taken_s.append(time.monotonic() - started)

    def summary(self) -> dict[str, Any]:
        return {
            "count": len(self.taken_s),
            "until accepted": quantiles(self.sent_s),
            "until done": quantiles(self.taken_s),
        }


def quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50 s": round(statistics.median(ordered), 2),
        "p95 s": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 2),
    }


def measure(
    server: Server,
    folder: Path,
    expected: dict[str, int],
    submit: Callable[[Server, Person, Path], str],
    *,
    alone: bool = False,
) -> dict[str, Any]:
    """Submit the folder and return figures; `alone` means without single uploads meanwhile."""
    person, singles = server.person(), Singles(server.person())
    if alone:
        singles.ended.set()
    started = time.monotonic()
    singles.thread.start()
    try:
        batch = submit(server, person, folder)
        submitted_s = time.monotonic() - started
        address = f"/api/v1/batches/{batch}/"

        def finished() -> bool:
            totals = person.get(address).json()["totals"]
            return totals["waiting"] + totals["running"] == 0

        wait_for(finished, 1800, "the batch", 0.5)
        done_s = time.monotonic() - started
    finally:
        singles.ended.set()
        singles.thread.join()
    batch = person.get(address).json()
    totals = {name: count for name, count in batch["totals"].items() if count}
    sheet = person.get(f"{address}results.csv").content.decode()
    rows = list(csv.DictReader(io.StringIO(sheet)))
    mine = [row for row in rows if row["outcome"] == "accepted" and row["state"] == "done"]
    page = person.page(f"/batches/{batch['id']}/").text
    agree = len(rows) == totals["total"] and len(mine) == totals["done"]
    agree &= all(f'data-total="{n}">{c}<' in page for n, c in totals.items() if c and n != "total")
    return {
        "totals": totals,
        "as expected": totals == expected,
        "page and CSV agree": agree,
        "correct labels": sum(row["path"].startswith(row["label"]) for row in mine),
        "submitted, s": round(submitted_s, 1),
        "done, s": round(done_s, 1),
        "clips/s": round(totals["done"] / done_s, 1),
        **({} if alone else {"single uploads meanwhile": singles.summary()}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.folder", description=__doc__)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--busy", action="store_true", help="keep one core busy meanwhile")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, busy_core(arguments.busy):
        folder = Path(temporary) / "folder"
        expected = make_folder(folder, arguments.clips)
        before = forward_rate()
        # As in production: all cores, and the usual intervals.
        cores = str(len(os.sched_getaffinity(0)))
        usual = {"WORKER_THREADS": cores, "LEASE_S": "60", "SWEEP_EVERY_S": "5"}
        server = Server(Path(temporary) / "server", **usual)
        server.open()
        try:
            idle = Singles(server.person())
            for _ in range(6):
                idle.one()
            del idle.sent_s[0], idle.taken_s[0]  # the worker loads its weights
            figures: dict[str, Any] = {
                "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
                "single uploads without other load": idle.summary(),
                "by command": measure(server, folder, expected, by_command),
                "by API": measure(server, folder, expected, by_api),
                "alone": measure(server, folder, expected, by_command, alone=True),
            }
        finally:
            server.close()
        forward = (before + forward_rate()) / 2
    figures["bare forward pass, clips/s"] = round(forward, 1)
    figures["share of it, alone"] = round(figures["alone"]["clips/s"] / forward, 2)
    figures["one core busy"] = arguments.busy
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
