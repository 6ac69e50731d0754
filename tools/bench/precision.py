"""Compare this processor's reduced precision with fp32, over every clip of ESC-50.

`ESC50_DIR=… python -m tools.bench.precision` prints how many windows were recomputed,
how many clips have the same top class, and the largest difference of a probability.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from ml import checkpoint_info
from ml.audio.decode import read
from ml.inference import Classifier
from training.data.index import read_index
from training.evaluate.measure import machine

CLIPS_AT_ONCE = 32


def main() -> None:
    folder = os.environ.get("ESC50_DIR")
    if not folder:
        sys.exit("Set ESC50_DIR to a folder with audio/ and meta/esc50.csv.")
    reduced = Classifier.load(checkpoint_info.default_path())
    exact = Classifier.load(checkpoint_info.default_path(), precision=torch.float32)
    examples = read_index(Path(folder))
    differences, same = [], 0
    for first in range(0, len(examples), CLIPS_AT_ONCE):
        waveforms = [
            read(example.path, exact.info.features.sample_rate).waveform
            for example in examples[first : first + CLIPS_AT_ONCE]
        ]
        # `classify` computes the maps as well, and checks that all are finite.
        for one, other in zip(reduced.classify(waveforms), exact.predict(waveforms), strict=True):
            same += one.top_class == other.top_class
            differences.append(np.abs(one.probabilities - other.probabilities).max())
    print(
        json.dumps(
            {
                "processor": machine(reduced.device),
                "precision": str(reduced.precision),
                "checkpoint": reduced.identity,
                "clips": len(examples),
                "windows computed again in fp32": reduced.recomputed_windows,
                "same top class as fp32": round(same / len(examples), 4),
                "largest difference of a probability": round(float(max(differences)), 4),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
