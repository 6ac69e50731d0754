"""Listen to files from the command line: `python -m ml FILE…`."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from ml.audio.decode import Sound, read
from ml.checkpoint_info import CheckpointError, default_path
from ml.errors import AudioError
from ml.inference import Classifier, Prediction

# Files decoded before the network runs on all of them.
CHUNK_FILES = 16


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ml",
        description="Name the sound in each file. The exit status is 1 if any file failed.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="one JSON object a line and file")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=default_path(),
        help="default: CHECKPOINT, else the shipped one",
    )
    return parser.parse_args(argv)


Outcome = tuple[Sound, list[Prediction]] | AudioError


def outcomes(files: list[str], classifier: Classifier) -> Iterator[tuple[str, Outcome]]:
    """Each file with what was heard, or why not, in the order given."""
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


def _decode(file: str, sample_rate: int) -> Sound | AudioError:
    try:
        return read(file, sample_rate)
    except AudioError as error:
        return error
    except OSError as error:
        detail = f"The file cannot be opened: {error.strerror}."
        return AudioError("unreadable", detail, "Check its name.")


def as_json(file: str, outcome: Outcome, identity: str) -> str:
    if isinstance(outcome, AudioError):
        error = {"code": outcome.code, "detail": outcome.detail, "hint": outcome.hint}
        return json.dumps({"file": file, "error": error})
    sound, predictions = outcome
    return json.dumps(
        {
            "file": file,
            "duration_s": round(sound.duration_s, 3),
            "sample_rate": sound.source_rate_hz,
            "predictions": [one.to_json() for one in predictions],
            "checkpoint": identity,
        }
    )


def as_text(outcome: tuple[Sound, list[Prediction]]) -> str:
    sound, predictions = outcome
    first = ", ".join(f"{value:.6f}" for value in sound.waveform[:10])
    lines = [
        f"First 10 values: [{first}]...",
        f"Duration: {round(sound.duration_s, 3)}",
        "Top predictions:",
        *(f"  - {p.label} {p.confidence:.2%}" for p in predictions[:3]),
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    try:
        classifier = Classifier.load(options.checkpoint)
    except CheckpointError as error:
        print(error, file=sys.stderr)
        return 2
    failed = False
    for file, outcome in outcomes(options.files, classifier):
        failed |= isinstance(outcome, AudioError)
        if options.json:
            print(as_json(file, outcome, classifier.identity), flush=True)
            continue
        if len(options.files) > 1:
            print(file)
        if isinstance(outcome, AudioError):
            print(f"{file}: {outcome.detail} {outcome.hint}", file=sys.stderr)
        else:
            print(as_text(outcome), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
