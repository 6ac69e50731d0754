"""Inject faults, each into a new server, and report what was lost: `make chaos`."""

import argparse
import math
import signal
import sys
import tempfile
import time
from pathlib import Path

from tools.chaos import control, report
from tools.chaos.harness import Skipped, start_harness
from tools.chaos.scenarios import CONTROL, SCENARIOS, Scenario


def run(scenario: Scenario, seed: int, clips: int, times: int, minutes: float) -> report.Line:
    if scenario is CONTROL:
        return control.run(scenario.name, scenario.title, seed, clips, times)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        data = Path(folder) / "data"
        with (
            scenario.setup(data) as settings,
            start_harness(data, seed, clips, times, **settings) as harness,
        ):
            harness.until_s = time.monotonic() + 60 * minutes
            scenario.inject(harness)
            found = harness.finish()
            took_s = time.monotonic() - began
            return report.Line.of(scenario.name, scenario.title, harness, found, took_s)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--clips", type=int, help="minimum number of clips")
    parser.add_argument("--times", type=int, help="how often the fault is injected")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="inject no more faults after this time"
    )
    parser.add_argument(
        "--write", action="store_true", help=f"update the table in {report.DOCUMENT.name}"
    )
    options = parser.parse_args()
    # Stop the started processes on SIGTERM as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    clean = True
    for name in options.only or SCENARIOS:
        scenario = SCENARIOS[name]
        try:
            times, clips = options.times or scenario.times, options.clips or scenario.clips
            line = run(scenario, options.seed, clips, times, options.minutes)
        except Skipped as why:
            print(f"{name}: skipped, {why}", flush=True)
            continue
        print(line.text(), flush=True)
        clean &= line.clean or scenario is CONTROL
        if options.write:
            report.write(line, list(SCENARIOS))
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
