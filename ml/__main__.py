"""Classify files from the command line: `python -m ml FILE…`."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml import notices
from ml.audio.decode import Sound, read
from ml.checkpoint_info import CheckpointError, default_path
from ml.errors import AudioError, Problem
from ml.file_names import escaped
from ml.inference import Classifier
from ml.predictions import Prediction
from ml.recording_names import from_name

# Files decoded before the network runs on all of them.
CHUNK_FILES = 16


@dataclass(frozen=True, slots=True)
class Classified:
    """A file's sound and predictions, and whether the checkpoint is not sure of them."""

    sound: Sound
    predictions: list[Prediction]
    not_sure: bool


Outcome = Classified | Problem


def outcomes(files: list[str], classifier: Classifier) -> Iterator[tuple[str, Outcome]]:
    """Yield each file with its sound and predictions, or its problem, in the order given."""
    for first in range(0, len(files), CHUNK_FILES):
        chunk = files[first : first + CHUNK_FILES]
        decoded = [_decode(file, classifier.info.features.sample_rate) for file in chunk]
        waveforms = [sound.waveform for sound in decoded if isinstance(sound, Sound)]
        results = iter(classifier.predict(waveforms))
        for file, sound in zip(chunk, decoded, strict=True):
            if isinstance(sound, Sound):
                result = next(results)
                predictions = classifier.predictions(result.probabilities)
                yield file, Classified(sound, predictions, classifier.not_sure(result))
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
        return json.dumps({"file": escaped(file), "error": outcome.as_dict()})
    payload = {
        "file": escaped(file),
        "duration_s": round(outcome.sound.duration_s, 3),
        "sample_rate": outcome.sound.source_rate_hz,
        "notices": notices.as_dicts(outcome.sound.notices),
        "recorded_at": _recorded_at(file, outcome.sound),
        "predictions": [one.to_json() for one in outcome.predictions],
        "not_sure": outcome.not_sure,
        "checkpoint": identity,
    }
    return json.dumps(payload)


def _recorded_at(file: str, sound: Sound) -> str | None:
    """Return when the recording starts, by its metadata or else its name."""
    start = sound.recorded or from_name(Path(file).name)
    return start.time.isoformat() if start else None


def as_text(found: Classified) -> str:
    first = ", ".join(f"{value:.6f}" for value in found.sound.waveform[:10])
    head = f"First 10 values: [{first}]...\nDuration: {round(found.sound.duration_s, 3)}"
    best = [f"  - {one.label} {one.confidence:.2%}" for one in found.predictions[:3]]
    lines = [head, "Top predictions:", *best]
    if found.not_sure:
        names = " or ".join(one.label for one in found.predictions[:2])
        lines.append(f"Not sure: {names}? The sound is probably none of the classes.")
    lines += [f"Note: {notices.SENTENCES[code]}" for code in found.sound.notices]
    return "\n".join(lines)


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
            print(escaped(file))
        if isinstance(outcome, Problem):
            print(f"{escaped(file)}: {outcome}", file=sys.stderr)
        else:
            print(as_text(outcome), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
