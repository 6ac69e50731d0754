"""Classify files from the command line: `python -m ml FILE…`."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml import notices
from ml.audio.decode import RECORDING_LIMITS, Sound, gathered, read_blocks
from ml.audio.waveform import Waveform
from ml.checkpoint_info import CheckpointError, default_path
from ml.errors import AudioError, Problem
from ml.events import Event
from ml.file_names import escaped
from ml.inference import Classifier
from ml.predictions import ClipPrediction, Prediction
from ml.recording_names import from_name

# Files decoded before the network runs on all of them, or fewer if they are this long together.
CHUNK_FILES = 16
CHUNK_S = 600.0
LABEL_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Classified:
    """A file's sound, predictions and events, and whether the checkpoint is not sure of them."""

    sound: Sound[Waveform]
    predictions: list[Prediction]
    events: tuple[Event, ...]
    not_sure: bool


Outcome = Classified | Problem


def outcomes(files: list[str], classifier: Classifier) -> Iterator[tuple[str, Outcome]]:
    """Yield each file with its sound and predictions, or its problem, in the order given."""
    for chunk in _chunks(files, classifier.info.features.sample_rate):
        waveforms = [sound.waveform for _, sound in chunk if isinstance(sound, Sound)]
        results = iter(classifier.predict(waveforms))
        for file, sound in chunk:
            if isinstance(sound, Sound):
                yield file, _classified(sound, next(results), classifier)
            else:
                yield file, sound


def _classified(
    sound: Sound[Waveform], result: ClipPrediction, classifier: Classifier
) -> Classified:
    return Classified(
        sound,
        classifier.predictions(result.probabilities),
        () if sound.silent else classifier.events(result, sound.duration_s),
        sound.silent or classifier.not_sure(result),
    )


def _chunks(
    files: list[str], sample_rate: int
) -> Iterator[list[tuple[str, Sound[Waveform] | Problem]]]:
    chunk: list[tuple[str, Sound[Waveform] | Problem]] = []
    duration_s = 0.0
    for file in files:
        sound = _decode(file, sample_rate)
        chunk.append((file, sound))
        duration_s += sound.duration_s if isinstance(sound, Sound) else 0
        if len(chunk) == CHUNK_FILES or duration_s > CHUNK_S:
            yield chunk
            chunk, duration_s = [], 0.0
    if chunk:
        yield chunk


def _decode(file: str, sample_rate: int) -> Sound[Waveform] | Problem:
    try:
        return gathered(read_blocks(file, sample_rate, RECORDING_LIMITS))
    except AudioError as error:
        return error.problem
    except OSError as error:
        detail = f"The file cannot be opened: {error.strerror}."
        return Problem("unreadable", detail, "Check the file name and path.")


def as_json(file: str, outcome: Outcome, identity: str, events: bool) -> str:
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
    if events:
        payload["events"] = [one.to_json() for one in outcome.events]
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


def as_table(found: Classified) -> str:
    """Return the events of a file, one in a line: start, end, label and confidence."""
    rows = [
        f"{one.start_s:9.3f}  {one.end_s:9.3f}  {one.label:<{LABEL_WIDTH}}  {one.confidence:10.2%}"
        for one in found.events
    ]
    head = f"{'start, s':>9}  {'end, s':>9}  {'label':<{LABEL_WIDTH}}  {'confidence':>10}"
    return "\n".join([head, *rows]) if rows else "No events."


def main(argv: list[str] | None = None) -> int:
    about = "Classify the sound in each file. The exit status is 1 if any file failed."
    parser = argparse.ArgumentParser("python -m ml", description=about)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--events", action="store_true", help="print the events of each file")
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
            print(as_json(file, outcome, classifier.identity, options.events), flush=True)
            continue
        if len(options.files) > 1:
            print(escaped(file))
        if isinstance(outcome, Problem):
            print(f"{escaped(file)}: {outcome}", file=sys.stderr)
        else:
            print(as_table(outcome) if options.events else as_text(outcome), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
