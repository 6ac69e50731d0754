"""Evaluate a checkpoint: `python -m training.evaluate CHECKPOINT`.

Files are decoded and classified by the same code as in an analysis. Prints one line of JSON;
`--out` writes the full report.
"""

import argparse
import dataclasses
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from ml.audio.decode import read
from ml.checkpoint import save
from ml.checkpoint_info import (
    CheckpointError,
    CheckpointInfo,
    default_path,
    digest,
    identity,
    read_info,
)
from ml.errors import AudioError
from ml.evaluation import Evaluation, Speed
from ml.inference import Classifier
from training.cli import NO_DATA
from training.config import esc50_dir
from training.data.index import DataError, Example, fold_numbers, name_of, read_index
from training.evaluate import report
from training.evaluate.calibration import fit_temperature
from training.evaluate.metrics import Predictions, accuracy, class_indices

CHUNK_FILES = 16
FITTED = "The temperature was fitted on fold {fold}."


@dataclass(frozen=True, slots=True)
class EvaluatedClips:
    """The predictions for some clips, and how fast they were made."""

    predictions: Predictions
    speed: Speed


def predict_clips(classifier: Classifier, examples: Sequence[Example]) -> EvaluatedClips:
    """Predict every example from its file.

    The speed does not count decoding, nor the first chunk, which warms up.

    Raises
    ------
    DataError
        A file cannot be read, or has a class that is not one of the checkpoint's.
    """
    info = classifier.info
    foreign = {example.label for example in examples} - set(info.classes)
    if foreign:
        raise DataError(f"These classes are not in the checkpoint: {', '.join(sorted(foreign))}.")
    logits, clips, times_s = [], [], []
    for first in range(0, len(examples), CHUNK_FILES):
        part = examples[first : first + CHUNK_FILES]
        waveforms = [_waveform(example, info.features.sample_rate) for example in part]
        started = time.perf_counter()
        results = classifier.predict(waveforms)
        times_s.append((len(part), time.perf_counter() - started))
        for clip, result in enumerate(results, first):
            # Only probabilities are available. Their logarithms can be used as logits.
            windows = np.log(result.window_probabilities.clip(1e-30)) * info.temperature
            logits.append(windows)
            clips += [clip] * len(windows)
    counted = times_s[1:] or times_s  # the first forward pass warms up
    speed = Speed(
        clips_per_s=round(sum(n for n, _ in counted) / sum(s for _, s in counted), 1),
        device=str(classifier.device.type),
        precision=str(classifier.precision).removeprefix("torch."),
        threads=torch.get_num_threads(),
        machine=machine(classifier.device),
    )
    labels = class_indices([example.label for example in examples], info.classes)
    predictions = Predictions(np.concatenate(logits), np.array(clips), labels)
    return EvaluatedClips(predictions, speed)


def machine(device: torch.device) -> str:
    """Return the name of the GPU or the processor, "" if it is unknown."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def _waveform(example: Example, sample_rate: int) -> np.ndarray:
    try:
        return read(example.path, sample_rate).waveform
    except (AudioError, OSError) as error:
        raise DataError(f"{example.path}: {error}") from error


def top1_accuracy(classifier: Classifier, examples: Sequence[Example]) -> float:
    """Return the top-1 accuracy, 0 to 1.

    Raises
    ------
    DataError
        For the reasons that `predict_clips` lists.
    """
    predictions = predict_clips(classifier, examples).predictions
    return accuracy(predictions.probabilities(classifier.info.temperature), predictions.labels)


def measure(
    path: Path, examples: Sequence[Example], fold: int, evaluated: EvaluatedClips, data: str = ""
) -> Evaluation:
    """Return the whole evaluation, using the temperature in the checkpoint's header.

    Parameters
    ----------
    data : name of the data, if it is not the training data
    """
    info = read_info(path)
    subject = report.Subject(
        checkpoint=path.name,
        weights=digest(path).weights,
        classes=info.classes,
        temperature=info.temperature,
        data=data or info.data,
        fold=fold,
        folds_seen=info.folds_seen,
        files=tuple(example.path.name for example in examples),
        notes=info.notes,
        fitted_here=FITTED.format(fold=fold) in info.notes,
    )
    return report.evaluation(subject, evaluated.predictions, evaluated.speed)


def set_temperature(path: Path, fold: int, predictions: Predictions) -> float:
    """Fit the temperature on a fold, write it into the header, and return it."""
    info = read_info(path)
    temperature = fit_temperature(predictions)
    notes = [note for note in info.notes if not note.startswith(FITTED.partition("{")[0])]
    notes.append(FITTED.format(fold=fold))
    change_header(path, temperature=temperature, notes=tuple(notes))
    return temperature


def change_header(path: Path, **values: Any) -> None:
    """Change fields of a checkpoint's header; the weights stay the same."""
    info = dataclasses.replace(read_info(path), **values)
    save(path, load_file(path), info)


# --- predictions on disk ------------------------------------------------------------------


def stored(
    file: Path, path: Path, examples: Sequence[Example], info: CheckpointInfo
) -> EvaluatedClips:
    """Return the predictions in `file`; if it does not exist, predict and write it.

    Parameters
    ----------
    file : an .npz file
    path : the checkpoint

    Raises
    ------
    DataError
        The file contains predictions of other weights or for other clips, or as `predict_clips`.
    """
    key = [digest(path).weights, *(f"{e.path.name} {e.label}" for e in examples)]
    if not file.is_file():
        evaluated = predict_clips(Classifier.load(path), examples)
        one, speed = evaluated.predictions, json.dumps(dataclasses.asdict(evaluated.speed))
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as target:
            np.savez(target, logits=one.logits, clips=one.clips, labels=one.labels,
                     classes=info.classes, key=key, speed=speed)  # fmt: skip
        return evaluated
    with np.load(file) as kept:
        if kept["key"].tolist() != key:
            raise DataError(
                f"{file} contains predictions of other weights or for other clips. "
                "Choose another file."
            )
        predictions = Predictions(kept["logits"], kept["clips"], kept["labels"])
        return EvaluatedClips(predictions, Speed(**json.loads(str(kept["speed"]))))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="?", default=default_path())
    add("--data", type=Path, default=esc50_dir(), help="a folder or a CSV file; default: ESC50_DIR")
    add("--fold", type=int, help="default: the last fold not used in training")
    add("--out", type=Path, nargs="?", const=Path(), metavar="DIR",
        help="write JSON, Markdown and pictures to DIR or, without DIR, beside the "
        "checkpoint")  # fmt: skip
    add("--no-speed", action="store_true", help="skip the speed, for example on a busy machine")
    add("--logits", type=Path, metavar="FILE.npz",
        help="save the predictions to this file, or reuse them if it exists")  # fmt: skip
    add("--fit-temperature", action="store_true",
        help="fit the temperature on this fold and write it into the checkpoint")  # fmt: skip
    options = parser.parse_args(argv)
    if options.data is None or not options.data.exists():
        parser.error(NO_DATA)
    return options


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    try:
        return run(options)
    except (DataError, CheckpointError) as error:
        print(error, file=sys.stderr)
        return 1


def run(options: argparse.Namespace) -> int:
    """Measure the checkpoint as the options ask, and print the summary as JSON.

    Raises
    ------
    DataError
        There is no clip to measure, or the fold cannot be used.
    CheckpointError
        The checkpoint cannot be read.
    """
    path = options.checkpoint
    info = read_info(path)
    everything = read_index(options.data)
    fold = options.fold or _unseen(fold_numbers(everything), info)
    examples = [example for example in everything if example.fold == fold]
    if not examples:
        raise DataError(f"There are no clips of fold {fold} in {options.data}.")
    if options.fit_temperature and fold in info.folds_seen:
        raise DataError(
            f"The weights were trained on fold {fold} and are overconfident on it, so a "
            "temperature fitted on it would be wrong. Use another fold."
        )
    if options.logits:
        evaluated = stored(options.logits, path, examples, info)
    else:
        evaluated = predict_clips(Classifier.load(path), examples)
    if options.fit_temperature:
        set_temperature(path, fold, evaluated.predictions)
    measured = measure(path, examples, fold, evaluated, name_of(options.data))
    if options.no_speed:
        measured = dataclasses.replace(measured, speed=None)
    if options.out is not None:
        report.write(measured, path.parent if options.out == Path() else options.out)
    print(json.dumps(summary(measured, identity(path))))
    return 0


def _unseen(folds: Sequence[int], info: CheckpointInfo) -> int:
    unseen = [fold for fold in folds if fold not in info.folds_seen]
    if not unseen:
        raise DataError(
            "The weights were trained on every fold of this data. Choose a fold with --fold."
        )
    return unseen[-1]


def summary(measured: Evaluation, checkpoint: str) -> dict[str, object]:
    values = {
        "checkpoint": checkpoint,
        "fold": measured.fold,
        "folds_seen": measured.folds_seen,
        "seen": measured.seen,
        "clips": measured.clips,
        "accuracy": round(measured.accuracy, 4),
        "accuracy_top3": round(measured.accuracy_top3, 4),
        "temperature": measured.temperature,
        "ece": round(measured.calibration.ece, 4),
        "ece_if_perfect": [round(edge, 4) for edge in measured.calibration.band],
    }
    if measured.calibration_uncorrected:
        values["ece_with_temperature_1"] = round(measured.calibration_uncorrected.ece, 4)
    if measured.calibration_crossed:
        values["ece_crossed"] = round(measured.calibration_crossed.ece, 4)
    if measured.speed:
        values["clips_per_s"] = measured.speed.clips_per_s
    return values
