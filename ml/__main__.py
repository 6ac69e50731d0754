"""Classify files from the command line: `python -m ml FILE…`."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from ml.audio.decode import Sound, read
from ml.checkpoint_info import CheckpointError, default_path
from ml.errors import AudioError, Problem
from ml.inference import Classifier, Prediction

# Files decoded before the network runs on all of them.
CHUNK_FILES = 16


Outcome = tuple[Sound, list[Prediction]] | Problem


def outcomes(files: list[str], classifier: Classifier) -> Iterator[tuple[str, Outcome]]:
    """Yield each file with its sound and predictions, or its problem, in the order given."""
    for first in range(0, len(files), CHUNK_FILES):
        chunk = files[first : first + CHUNK_FILES]
        decoded = [_decode(file, classifier.info.features.sample_rate) for file in chunk]
        waveforms = [sound.waveform for sound in decoded if isinstance(sound, Sound)]
        results = iter(classifier.predict(waveforms))
        for file, sound in zip(chunk, decoded, strict=True):
            if isinstance(sound, Sound):
                yield file, (sound, classifier.predictions(next(results).probabilities))
            else:
                yield file, sound


def _decode(file: str, sample_rate: int) -> Sound | Problem:
    try:
        return read(file, sample_rate)
    except AudioError as error:
        return error.problem
    except OSError as error:
        detail = f"The file cannot be opened: {error.strerror}."
        return Problem("unreadable", detail, "Check the file name and path.")


def as_json(file: str, outcome: Outcome, identity: str) -> str:
    if isinstance(outcome, Problem):
        return json.dumps({"file": file, "error": outcome.as_dict()})
    sound, predictions = outcome
    payload = {
        "file": file,
        "duration_s": round(sound.duration_s, 3),
        "sample_rate": sound.source_rate_hz,
        "predictions": [one.to_json() for one in predictions],
        "checkpoint": identity,
    }
    return json.dumps(payload)


def as_text(sound: Sound, predictions: list[Prediction]) -> str:
    first = ", ".join(f"{value:.6f}" for value in sound.waveform[:10])
    head = f"First 10 values: [{first}]...\nDuration: {round(sound.duration_s, 3)}"
    best = [f"  - {one.label} {one.confidence:.2%}" for one in predictions[:3]]
    return "\n".join([head, "Top predictions:", *best])


def main(argv: list[str] | None = None) -> int:
    about = "Classify the sound in each file. The exit status is 1 if any file failed."
    parser = argparse.ArgumentParser("python -m ml", description=about)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    which = "default: the CHECKPOINT environment variable, or else the shipped checkpoint"
    parser.add_argument("--checkpoint", type=Path, default=default_path(), help=which)
    options = parser.parse_args(argv)
    try:
        classifier = Classifier.load(options.checkpoint)
    except CheckpointError as error:
        print(error, file=sys.stderr)
        return 2
    failed = False
    for file, outcome in outcomes(options.files, classifier):
        failed |= isinstance(outcome, Problem)
        if options.json:
            print(as_json(file, outcome, classifier.identity), flush=True)
            continue
        if len(options.files) > 1:
            print(file)
        if isinstance(outcome, Problem):
            print(f"{file}: {outcome}", file=sys.stderr)
        else:
            print(as_text(*outcome), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
