"""How often a checkpoint is right: `python -m training.evaluate CHECKPOINT --fold 4`.

Measured by the code that serves users, on the files themselves.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from ml import checkpoint
from ml.audio import read
from ml.inference import Classifier
from training.config import esc50_dir
from training.dataset import Example, read_index

CHUNK_FILES = 16


def share_right(classifier: Classifier, examples: Sequence[Example]) -> float:
    """Top-1 accuracy, 0 to 1. Raises AudioError for a file that cannot be read."""
    rate = classifier.info.features.sample_rate
    right = 0
    for first in range(0, len(examples), CHUNK_FILES):
        part = examples[first : first + CHUNK_FILES]
        results = classifier.classify([read(example.path, rate).waveform for example in part])
        right += sum(
            classifier.info.classes[result.answer] == example.label
            for result, example in zip(results, part, strict=True)
        )
    return right / len(examples)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("checkpoint", type=Path, nargs="?", default=checkpoint.default_path())
    parser.add_argument("--data", type=Path, default=esc50_dir(), help="default: ESC50_DIR")
    parser.add_argument("--fold", type=int, default=4)
    options = parser.parse_args(argv)
    if options.data is None or not (options.data / "meta" / "esc50.csv").is_file():
        parser.error("no ESC-50 here: set ESC50_DIR or --data to a folder with meta/esc50.csv")
    classifier = Classifier.load(options.checkpoint)
    examples = [e for e in read_index(options.data) if e.fold == options.fold]
    if not examples:
        parser.error(f"there is no clip of fold {options.fold} in {options.data}")
    print(
        json.dumps(
            {
                "checkpoint": classifier.identity,
                "fold": options.fold,
                "folds_seen": classifier.info.folds_seen,
                "seen": options.fold in classifier.info.folds_seen,
                "clips": len(examples),
                "accuracy": round(share_right(classifier, examples), 4),
            }
        )
    )


if __name__ == "__main__":
    main()
