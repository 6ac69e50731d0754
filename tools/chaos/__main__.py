"""`make chaos`: one fault after the other, each in a server of its own, and what came of it."""

import argparse
import math
import signal
import sys
import tempfile
import time
from pathlib import Path

from tools.chaos import plain, report
from tools.chaos.scenarios import CONTROL, SCENARIOS, Scenario
from tools.chaos.stage import Skipped, stage


def play(scenario: Scenario, seed: int, clips: int, times: int, minutes: float) -> report.Line:
    if scenario is CONTROL:
        return plain.play(scenario.name, scenario.title, seed, clips, times)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        data = Path(folder) / "data"
        with scenario.place(data) as settings, stage(data, seed, clips, times, **settings) as here:
            here.until_s = time.monotonic() + 60 * minutes
            scenario.play(here)
            found = here.settle()
            took_s = time.monotonic() - began
            return report.Line.of(scenario.name, scenario.title, here, found, took_s)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--clips", type=int, help="at least so many")
    parser.add_argument("--times", type=int, help="how often the fault is done")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="then no more faults, whatever the times"
    )
    parser.add_argument(
        "--write", action="store_true", help=f"renew the lines in {report.PAPER.name}"
    )
    asked = parser.parse_args()
    # Ended early, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    clean = True
    for name in asked.only or SCENARIOS:
        scenario = SCENARIOS[name]
        try:
            times, clips = asked.times or scenario.times, asked.clips or scenario.clips
            line = play(scenario, asked.seed, clips, times, asked.minutes)
        except Skipped as why:
            print(f"{name}: skipped, {why}", flush=True)
            continue
        print(line.payload(), flush=True)
        clean &= line.clean or scenario is CONTROL
        if asked.write:
            report.write(line, list(SCENARIOS))
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
