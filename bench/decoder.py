"""What it costs to decode in a process beside ours: `python -m bench.decoder`.

Five-second files, each read in this process and through the worker's decoder, in turns.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ml.audio import read
from ml.decoder import FILES_PER_CHILD, Decoder
from tests import cast

RATE_HZ = 32_000
FORMS = ("WAV", "FLAC", "OGG", "MP3", "M4A", "WebM")


def timed_ms(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - started)


def compare(decoder: Decoder, path: Path, times: int) -> dict[str, float]:
    here, beside = [], []
    for _ in range(times):
        here.append(timed_ms(lambda: read(path, RATE_HZ)))
        beside.append(timed_ms(lambda: decoder.read(path, RATE_HZ)))
    in_here, there = statistics.median(here), statistics.median(beside)
    return {
        "in this process, ms": round(in_here, 1),
        "beside, ms": round(there, 1),
        "added, ms": round(there - in_here, 1),
        "ratio": round(there / in_here, 2),
    }


def start_ms(path: Path) -> float:
    """Until the first file is read, less what reading takes."""
    with closing(Decoder()) as decoder:
        first = timed_ms(lambda: decoder.read(path, RATE_HZ))
        return first - timed_ms(lambda: decoder.read(path, RATE_HZ))


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m bench.decoder", description=__doc__)
    asked.add_argument("--times", type=int, default=60)
    times = asked.parse_args().times
    with tempfile.TemporaryDirectory() as folder, closing(Decoder()) as decoder:
        path = Path(folder) / "sound"
        told = {}
        for form in FORMS:
            rate_hz = cast.RATES_HZ.get(form, 44_100)
            path.write_bytes(cast.encode(cast.noise(5.0, rate_hz), rate_hz, form))
            told[form] = compare(decoder, path, times)
        starts = statistics.median(start_ms(path) for _ in range(7))
    added = statistics.mean(one["added, ms"] for one in told.values())
    print(
        json.dumps(
            told
            | {
                "added on average, ms": round(added, 1),
                "a new process, ms": round(starts),
                f"its share of {FILES_PER_CHILD} files, ms": round(starts / FILES_PER_CHILD, 2),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
