"""Compare this processor's reduced precision with fp32, over every clip of ESC-50.

`ESC50_DIR=… python -m tools.bench.precision` prints how many windows were recomputed, how many
clips have the same top class, and the differences of the probabilities. Each clip is classified
twice, in chunks of different size and with other neighbours, sometimes alone.
"""

import itertools
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from ml import checkpoint_info
from ml.audio.decode import read
from ml.inference import Classifier
from ml.predictions import Result
from training.data.index import read_index
from training.evaluate.measure import machine

CLIPS_AT_ONCE = 32
# Clips in one call, in turn; the result must not depend on it.
CHUNKS = (1, 5, 16)


def main() -> None:
    folder = os.environ.get("ESC50_DIR")
    if not folder:
        sys.exit("Set ESC50_DIR to a folder with audio/ and meta/esc50.csv.")
    reduced = Classifier.load(checkpoint_info.default_path())
    exact = Classifier.load(checkpoint_info.default_path(), precision=torch.float32)
    examples = read_index(Path(folder))
    differences, between_chunks, same, same_alone = [], [], 0, 0
    for first in range(0, len(examples), CLIPS_AT_ONCE):
        waveforms = [
            read(example.path, exact.info.features.sample_rate).waveform
            for example in examples[first : first + CLIPS_AT_ONCE]
        ]
        # `classify` computes the maps as well, and checks that all are finite.
        together = reduced.classify(waveforms)
        for one, other in zip(together, exact.predict(waveforms), strict=True):
            same += one.top_class == other.top_class
            differences.append(np.abs(one.probabilities - other.probabilities))
        chunks = itertools.cycle(CHUNKS)
        apart: list[Result] = []
        while len(apart) < len(waveforms):
            apart += reduced.classify(waveforms[len(apart) : len(apart) + next(chunks)])
        for one, alone in zip(together, apart, strict=True):
            same_alone += one.top_class == alone.top_class
            between_chunks.append(np.abs(one.probabilities - alone.probabilities).max())
    print(
        json.dumps(
            {
                "processor": machine(reduced.device),
                "precision": str(reduced.precision),
                "checkpoint": reduced.identity,
                "clips": len(examples),
                "windows computed again in fp32": reduced.recomputed_windows,
                "same top class as fp32": round(same / len(examples), 4),
                "mean difference of a probability": round(float(np.mean(differences)), 6),
                "largest difference of a probability": round(float(np.max(differences)), 4),
                "same top class in chunks of 1, 5 and 16": round(same_alone / len(examples), 4),
                "largest difference between chunks": round(float(max(between_chunks)), 4),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
