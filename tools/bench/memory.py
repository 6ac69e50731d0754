"""Measure the memory of a worker and its decoder: `ESC50_DIR=… python -m tools.bench.memory`.

Analyses 2,000 clips in one process and prints its resident memory after every 200. With
`--minutes 3 60`, analyses a recording of each length instead, in a new process each time, and
prints the peak of its resident memory and of its decoder's.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tools.bench.local_worker import analyse_all, local_worker, real_clips, submit
from tools.hostile import peak_mb

CLIPS, EVERY = 2_000, 200
RATE_HZ = 44_100
SIZE_LIMIT_MB = 4_000


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def many_clips(count: int) -> dict[str, Any]:
    clips = cycle(real_clips(EVERY))
    sizes = []
    with local_worker() as owner:
        for _ in range(count // EVERY):
            for clip in islice(clips, EVERY):
                submit(owner, clip)
            analyse_all()
            sizes.append(resident_mb())
    return {"clips between the figures": EVERY, "resident, MB": sizes}


def in_new_process(minutes: int, form: str) -> dict[str, Any]:
    """Analyse one recording in a new process."""
    limits = {"MAX_DURATION_S": str(60 * minutes), "MAX_UPLOAD_MB": str(SIZE_LIMIT_MB)}
    command = [sys.executable, "-m", "tools.bench.memory", "--alone", str(minutes)]
    done = subprocess.run(
        [*command, "--format", form], env=os.environ | limits, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def one_recording(minutes: int, form: str) -> dict[str, Any]:
    """Analyse a recording in this process, after a short clip that loads everything."""
    with local_worker() as owner, tempfile.TemporaryDirectory() as folder:
        from classifier.services import uploads
        from tasks import decoding

        for length_s in (5, 60 * minutes):
            path = Path(folder) / f"{length_s}.sound"
            write(path, length_s, form)
            with path.open("rb") as file:
                uploads.accept(iter(partial(file.read, 1 << 20), b""), name="x", owner=owner)
            started = time.monotonic()
            before_mb = resident_mb()
            analyse_all()
            took_s = time.monotonic() - started
        return {
            "minutes": minutes,
            "worker before, MB": before_mb,
            "worker peak, MB": round(peak_mb("self"), 1),
            "decoder peak, MB": round(peak_mb(str(decoding._decoder().pid)), 1),
            "seconds": round(took_s, 1),
        }


def write(path: Path, length_s: int, form: str) -> None:
    """Write noise whose loudness changes."""
    draw = np.random.default_rng(1)
    with soundfile.SoundFile(path, "w", RATE_HZ, 2, format=form) as file:
        for second in range(length_s):
            level = 0.001 + 0.2 * (second % 7 == 0)
            file.write(draw.normal(0, level, (RATE_HZ, 2)).clip(-1, 1))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.memory", description=__doc__)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--minutes", type=int, nargs="+", metavar="MINUTES")
    parser.add_argument("--format", default="FLAC", help="of the recordings: WAV, FLAC, AIFF")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(one_recording(options.alone, options.format)))
    elif options.minutes:
        found = [in_new_process(minutes, options.format) for minutes in options.minutes]
        print(json.dumps(found, indent=2))
    else:
        print(json.dumps(many_clips(options.clips), indent=2))


if __name__ == "__main__":
    main()
