"""Decode hostile files, generated from a seed, and report the outcomes: `make hostile`.

Each file goes through the decoder that workers use. It must be decoded, or be refused with a code,
a sentence and a hint, within the time limit and without an effect on this process.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ml.audio import decoder as parent
from ml.audio.decode import Limits
from ml.audio.decoder import Decoder
from ml.errors import AudioError
from tests.malicious_files import Hostile, handcrafted
from tests.mutated_files import MUTATIONS, valid

RATE_HZ = 32_000
# Shorter than the limit for users, so that short files already exceed it.
LIMITS = Limits(duration_s=60.0)
LIMIT_S = parent.WALL_S + parent.WALL_S_PER_S * LIMITS.duration_s + 10


def files(count: int, seed: int = 1) -> Iterator[Hostile]:
    """Yield `count` files: the handcrafted ones, then mutations; the same for the same seed."""
    made = handcrafted()
    yield from made[:count]
    whole = list(valid().items())
    for number in range(max(0, count - len(made))):
        draw = np.random.default_rng((seed, number))
        name, data = whole[number % len(whole)]
        how = list(MUTATIONS)[int(draw.integers(len(MUTATIONS)))]
        yield Hostile(f"{how} in {name}", MUTATIONS[how](data, draw))


@dataclass(slots=True)
class Report:
    """The results of a run.

    Attributes
    ----------
    outcomes : number of files by error code, or "sound"
    breakdowns : files that made the decoder fail
    child_mb, parent_mb : peak memory in megabytes
    """

    files: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    breakdowns: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: str = ""
    children: set[int] = field(default_factory=set)
    child_mb: float = 0.0
    parent_mb_before: float = 0.0
    parent_mb: float = 0.0


def run(hostile: Iterator[Hostile]) -> Report:
    """Decode the files; raise AssertionError for an outcome that is not allowed."""
    report = Report(parent_mb_before=peak_mb("self"))
    with tempfile.TemporaryDirectory() as folder, closing(Decoder()) as decoder:
        path = Path(folder) / "sound"
        for one in hostile:
            path.write_bytes(one.data)
            started = time.monotonic()
            code = outcome(decoder, path, one)
            took_s = time.monotonic() - started
            assert took_s < LIMIT_S, one.kind
            report.files += 1
            report.outcomes[code] += 1
            if code.startswith("decoder_"):
                report.breakdowns.append(f"{one.kind}: {code}")
            if took_s > report.slowest_s:
                report.slowest_s, report.slowest = took_s, one.kind
            if decoder.pid:
                report.children.add(decoder.pid)
                report.child_mb = max(report.child_mb, peak_mb(str(decoder.pid)))
    report.parent_mb = peak_mb("self")
    return report


def outcome(decoder: Decoder, path: Path, one: Hostile) -> str:
    """Decode a file and return "sound" or the error code."""
    try:
        sound = decoder.read(path, RATE_HZ, LIMITS)
    except AudioError as error:
        assert error.problem.code, one.kind
        assert error.problem.detail.endswith("."), one.kind
        assert error.problem.hint.endswith("."), one.kind
        return error.problem.code
    assert 0 < sound.duration_s <= LIMITS.duration_s + 1, one.kind
    assert np.isfinite(sound.waveform[:]).all(), one.kind
    return "sound"


def peak_mb(process: str) -> float:
    """Return a process's peak memory; 0 if it has ended, and 0 except on Linux."""
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        return 0.0
    found = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(found[0].split()[1]) / 1000 if found else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.hostile", description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    report = run(files(options.files, options.seed))
    payload = {
        "files": report.files,
        "seed": options.seed,
        "outcomes": dict(report.outcomes.most_common()),
        "decoder failures": report.breakdowns,
        "slowest, s": round(report.slowest_s, 1),
        "slowest": report.slowest,
        "decoder processes": len(report.children),
        "peak memory of a decoder, MB": round(report.child_mb),
        "peak memory of this process, MB: before, after": [
            round(report.parent_mb_before),
            round(report.parent_mb),
        ],
    }
    print(json.dumps(payload, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
