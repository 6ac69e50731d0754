"""Measure whether a worker's memory stays flat: `ESC50_DIR=… python -m tools.bench.memory`.

Analyses 2,000 clips in one process and prints its resident memory after every 200.
"""

import argparse
import json
import os
from itertools import cycle, islice
from pathlib import Path

from tools.bench.local_worker import analyse_all, local_worker, real_clips, submit

CLIPS, EVERY = 2_000, 200


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.memory", description=__doc__)
    parser.add_argument("--clips", type=int, default=CLIPS)
    clips = cycle(real_clips(EVERY))
    sizes = []
    with local_worker() as owner:
        for _ in range(parser.parse_args().clips // EVERY):
            for clip in islice(clips, EVERY):
                submit(owner, clip)
            analyse_all()
            sizes.append(resident_mb())
    print(json.dumps({"clips between the figures": EVERY, "resident, MB": sizes}, indent=2))


if __name__ == "__main__":
    main()
