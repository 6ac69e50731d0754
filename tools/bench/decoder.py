"""Measure the cost of decoding in a separate process: `python -m tools.bench.decoder`.

Reads each five-second file in this process and in the worker's decoder, in turns. Compare the
minimum and the CPU time; on a busy machine the other times include waiting for a core.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from ml.audio.decode import read
from ml.audio.decoder import FILES_PER_CHILD, Decoder
from tests import fixtures

RATE_HZ = 32_000
FORMS = ("WAV", "FLAC", "OGG", "MP3", "M4A", "WebM")


@dataclass(slots=True)
class Cost:
    """The cost of an action that is repeated.

    Attributes
    ----------
    wall_ms : wall-clock time of each repetition
    cpu_ms : CPU time of all repetitions, in both processes
    """

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: float = 0.0

    def add(self, act: Callable[[], object], decoder: Decoder) -> None:
        """Measure one call of `act`."""
        started, busy_ms = time.perf_counter(), _cpu_ms(decoder)
        act()
        self.wall_ms.append(1000 * (time.perf_counter() - started))
        self.cpu_ms += _cpu_ms(decoder) - busy_ms


def _cpu_ms(decoder: Decoder) -> float:
    """Return the CPU time of this process and of the decoder's, which must be running."""
    beside = Path(f"/proc/{decoder.pid}/schedstat").read_text().split()[0]
    return 1000 * time.process_time() + int(beside) / 1e6


def compare(decoder: Decoder, path: Path, times: int) -> dict[str, float]:
    """Read a file in this process and in the decoder's, in turns; return the times."""
    here, beside = Cost(), Cost()
    for _ in range(times):
        here.add(lambda: read(path, RATE_HZ), decoder)
        beside.add(lambda: decoder.read(path, RATE_HZ), decoder)
    return {
        "in this process, ms, minimum": round(min(here.wall_ms), 1),
        "added, ms, minimum": round(min(beside.wall_ms) - min(here.wall_ms), 1),
        "added, ms, median": round(median(beside.wall_ms) - median(here.wall_ms), 1),
        "CPU in this process, ms": round(here.cpu_ms / times, 1),
        "CPU added, ms": round((beside.cpu_ms - here.cpu_ms) / times, 1),
    }


def start_ms(path: Path) -> float:
    """Return the time a new decoder needs to start, without reading the first file."""
    with closing(Decoder()) as decoder:
        taken_ms = []
        for _ in range(2):
            started = time.perf_counter()
            decoder.read(path, RATE_HZ)
            taken_ms.append(1000 * (time.perf_counter() - started))
        return taken_ms[0] - taken_ms[1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.decoder", description=__doc__)
    parser.add_argument("--times", type=int, default=60)
    # A decoder that reads more files is replaced, and its CPU time would start again at zero.
    times = min(parser.parse_args().times, FILES_PER_CHILD - 1)
    report: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        for form in FORMS:
            rate_hz = fixtures.RATES_HZ.get(form, 44_100)
            path.write_bytes(fixtures.encode(fixtures.noise(5.0, rate_hz), rate_hz, form))
            with closing(Decoder()) as decoder:
                decoder.read(path, RATE_HZ)
                report[form] = compare(decoder, path, times)
        report["start of a decoder, ms, minimum"] = round(min(start_ms(path) for _ in range(7)))
    report["files per decoder"] = FILES_PER_CHILD
    report["load average"] = [round(load, 1) for load in os.getloadavg()]
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
