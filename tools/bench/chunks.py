"""Measure windows per second by batch size: `python -m tools.bench.chunks`."""

import json
import time

from ml import checkpoint_info
from ml.inference import Classifier
from tests import fixtures

WINDOWS = 128
SIZES = (1, 2, 4, 8, 16, 32, 64)


def main() -> None:
    classifier = Classifier.load(checkpoint_info.default_path())
    rate = classifier.info.features.sample_rate
    waveforms = [fixtures.noise(5.0, rate, seed=seed) for seed in range(WINDOWS)]
    rates = {}
    for size in SIZES:
        classifier.chunk_windows = size
        classifier.classify(waveforms[:size])
        started = time.monotonic()
        classifier.classify(waveforms)
        rates[size] = WINDOWS / (time.monotonic() - started)
    best = max(rates.values())
    print(
        json.dumps(
            {
                "device": str(classifier.device),
                "precision": str(classifier.precision),
                "share of the best, by windows per pass": {
                    size: round(rate / best, 2) for size, rate in rates.items()
                },
                "best, windows/s": round(best, 1),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
