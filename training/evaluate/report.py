"""Write the evaluation of a checkpoint as JSON, Markdown and pictures."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ml.evaluation import Calibration, ClassFigures, Evaluation, Mistake, Speed
from training.evaluate import plots
from training.evaluate.calibration import calibration, crossed
from training.evaluate.metrics import (
    Predictions,
    accuracy,
    by_class,
    confusion,
    likely_range,
    worst,
)
from training.figures import save

WORST = 12


@dataclass(frozen=True, slots=True)
class Subject:
    """The checkpoint that is measured, and the data it is measured on.

    Attributes
    ----------
    files : file name of each clip, in the order of the predictions
    fitted_here : the temperature was fitted on this fold
    """

    checkpoint: str
    weights: str
    classes: tuple[str, ...]
    temperature: float
    data: str
    fold: int
    folds_seen: tuple[int, ...]
    files: tuple[str, ...]
    notes: tuple[str, ...]
    fitted_here: bool


def evaluation(subject: Subject, predictions: Predictions, speed: Speed | None) -> Evaluation:
    """Compute every figure of the report."""
    probabilities = predictions.probabilities(subject.temperature)
    labels, classes = predictions.labels, subject.classes
    table = confusion(probabilities, labels)
    right = int(np.trace(table))
    uncorrected = predictions.probabilities()
    return Evaluation(
        checkpoint=subject.checkpoint,
        weights=subject.weights,
        data=subject.data,
        fold=subject.fold,
        folds_seen=subject.folds_seen,
        seen=subject.fold in subject.folds_seen,
        clips=len(labels),
        accuracy=accuracy(probabilities, labels),
        accuracy_range=likely_range(right, len(labels)),
        accuracy_top3=accuracy(probabilities, labels, 3),
        classes=classes,
        by_class=tuple(_class_figures(table, classes)),
        confusion=tuple(tuple(map(int, row)) for row in table),
        temperature=subject.temperature,
        calibration=calibration(probabilities, labels),
        calibration_uncorrected=(
            calibration(uncorrected, labels) if subject.temperature != 1 else None
        ),
        calibration_crossed=(
            calibration(crossed(predictions), labels)
            if subject.fitted_here and len(labels) > 1
            else None
        ),
        worst=tuple(
            Mistake(
                subject.files[clip],
                classes[labels[clip]],
                classes[probabilities[clip].argmax()],
                float(probabilities[clip].max()),
            )
            for clip in worst(probabilities, labels, WORST)
        ),
        speed=speed,
        notes=subject.notes,
        measured_at=datetime.now(UTC).replace(microsecond=0),
    )


def _class_figures(table: np.ndarray, classes: Sequence[str]) -> list[ClassFigures]:
    figures = []
    for index, (name, share) in enumerate(zip(classes, by_class(table), strict=True)):
        others = table[index].copy()
        others[index] = 0
        mistaken_for = classes[others.argmax()] if others.any() else None
        clips, right = int(table[index].sum()), int(table[index, index])
        figures.append(ClassFigures(name, clips, right, share, mistaken_for))
    return figures


def write(measured: Evaluation, folder: Path) -> Path:
    """Write the evaluation into `folder`, in files named after the checkpoint.

    Returns
    -------
    The path of the JSON file; beside it are the Markdown and two PNG files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = Path(measured.checkpoint).stem
    names = {
        "confusion": f"{stem}.confusion.png",
        "reliability": f"{stem}.reliability.png",
    }
    measured = dataclasses.replace(measured, pictures=names)
    table = np.array(measured.confusion)
    save(plots.confusion(table, measured.classes), folder / names["confusion"])
    save(plots.reliability(measured.calibration), folder / names["reliability"])
    (folder / f"{stem}.evaluation.md").write_text(markdown(measured))
    path = folder / f"{stem}.evaluation.json"
    path.write_text(json.dumps(measured.to_json(), indent=1) + "\n")
    return path


def markdown(measured: Evaluation) -> str:
    low, high = measured.accuracy_range
    seen = ", ".join(map(str, measured.folds_seen)) or "none"
    lines = [
        f"# {measured.checkpoint} on fold {measured.fold} of {measured.data}",
        "",
        *(f"{note}\n" for note in measured.notes),
        "| | |",
        "|---|---|",
        f"| clips | {measured.clips}, training folds: {seen} |",
        f"| accuracy | **{measured.accuracy:.2%}** (95 %: {low:.1%} to {high:.1%}) |",
        f"| top-3 accuracy | {measured.accuracy_top3:.2%} |",
        *_calibration_lines(measured),
    ]
    if measured.speed:
        rate = f"{measured.speed.clips_per_s:.0f} clips/s"
        lines.append(f"| speed | {rate} ({measured.speed}), excluding decoding |")
    if measured.measured_at:
        lines.append(f"| measured | {measured.measured_at.isoformat()} |")
    lines += ["", f"![Confusion matrix]({measured.pictures['confusion']})", ""]
    lines += [f"![Reliability diagram]({measured.pictures['reliability']})", ""]
    lines += ["| class | clips | accuracy | mistaken for |", "|---|---|---|---|"]
    for figures in sorted(measured.by_class, key=lambda one: one.accuracy or 0):
        share = "" if figures.accuracy is None else f"{figures.accuracy:.0%}"
        other = plots.words(figures.mistaken_for or "")
        lines.append(f"| {plots.words(figures.name)} | {figures.clips} | {share} | {other} |")
    return "\n".join([*lines, ""])


def _calibration_lines(measured: Evaluation) -> list[str]:
    def line(name: str, one: Calibration) -> str:
        low, high = one.band
        return f"| {name} | {one.ece:.2%} (perfectly calibrated: {low:.1%} to {high:.1%}) |"

    lines = [line(f"calibration error, temperature {measured.temperature}", measured.calibration)]
    if measured.calibration_uncorrected:
        lines.append(line("calibration error, temperature 1", measured.calibration_uncorrected))
    if measured.calibration_crossed:
        name = "calibration error, temperature for each clip fitted on other clips"
        lines.append(line(name, measured.calibration_crossed))
    return lines
