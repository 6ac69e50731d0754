"""What a measurement of a checkpoint says: one dataclass, as JSON, Markdown and pictures.

The web application's Models page reads the JSON: change its shape only with `FORMAT`.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from training.evaluate import plots
from training.evaluate.calibration import Calibration, calibration, crossed
from training.evaluate.metrics import (
    Predictions,
    accuracy,
    by_class,
    confusion,
    likely_range,
    worst,
)

FORMAT = 2
WORST = 12


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class. `mistaken_for`: the commonest wrong answer, None if there was none."""

    name: str
    clips: int
    right: int
    accuracy: float | None
    mistaken_for: str | None


@dataclass(frozen=True, slots=True)
class Mistake:
    """file: its name alone · confidence: that of the wrong answer."""

    file: str
    label: str
    answer: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Speed:
    """clips_per_s: features and network, without reading and decoding the files.

    machine: its processor or card, as it calls itself; "" if it does not.
    """

    clips_per_s: float
    device: str
    precision: str
    threads: int
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A checkpoint on one fold. Shares are 0 to 1, to be shown as per cent.

    checkpoint: its file's name · weights: 12 hex digits of the weights' SHA-256 ·
    data: the data set's name · folds_seen: those learned from or chosen by · seen: whether `fold`
    is one of them, and the figures so mean nothing · accuracy_range: 95 %, by Wilson ·
    confusion: counts, row by the label, column by the answer, in the order of `classes` ·
    calibration: with `temperature`, as users are answered · calibration_uncorrected: the same with
    temperature 1, None where that is the temperature · calibration_crossed: with a temperature
    that each clip had no part in, only where one was fitted on this fold · speed: None where it
    was not to be told · notes: sentences that belong beside the figures · measured_at: ISO 8601,
    UTC · pictures: what is drawn, by the file's name beside the JSON.
    """

    checkpoint: str
    weights: str
    data: str
    fold: int
    folds_seen: tuple[int, ...]
    seen: bool
    clips: int
    accuracy: float
    accuracy_range: tuple[float, float]
    accuracy_top3: float
    classes: tuple[str, ...]
    by_class: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    temperature: float
    calibration: Calibration
    calibration_uncorrected: Calibration | None
    calibration_crossed: Calibration | None
    worst: tuple[Mistake, ...]
    speed: Speed | None
    notes: tuple[str, ...]
    measured_at: str
    pictures: dict[str, str] = dataclasses.field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Subject:
    """What was measured, and on what."""

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


def evaluation(subject: Subject, answered: Predictions, speed: Speed | None) -> Evaluation:
    probabilities = answered.probabilities(subject.temperature)
    labels, classes = answered.labels, subject.classes
    table = confusion(probabilities, labels)
    right = int(np.trace(table))
    uncorrected = answered.probabilities()
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
            calibration(crossed(answered), labels)
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
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
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
    """JSON, Markdown and two PNGs, named after the checkpoint. Returns the JSON's path."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = Path(measured.checkpoint).stem
    names = {
        "confusion": f"{stem}.confusion.png",
        "reliability": f"{stem}.reliability.png",
    }
    measured = dataclasses.replace(measured, pictures=names)
    table = np.array(measured.confusion)
    plots.confusion(table, measured.classes).quantize(64).save(folder / names["confusion"])
    drawn = plots.reliability(measured.calibration)
    drawn.quantize(64).save(folder / names["reliability"])
    (folder / f"{stem}.evaluation.md").write_text(markdown(measured))
    path = folder / f"{stem}.evaluation.json"
    path.write_text(json.dumps(dataclasses.asdict(measured), indent=1) + "\n")
    return path


def markdown(measured: Evaluation) -> str:
    low, high = measured.accuracy_range
    learned = ", ".join(map(str, measured.folds_seen)) or "none"
    lines = [
        f"# {measured.checkpoint} on fold {measured.fold} of {measured.data}",
        "",
        *(f"{note}\n" for note in measured.notes),
        "| | |",
        "|---|---|",
        f"| clips | {measured.clips}, folds seen: {learned} |",
        f"| right | **{measured.accuracy:.2%}** (95 %: {low:.1%} to {high:.1%}) |",
        f"| right among its first three | {measured.accuracy_top3:.2%} |",
        *_calibration_lines(measured),
    ]
    if measured.speed:
        speed = measured.speed
        lines.append(
            f"| speed | {speed.clips_per_s:.0f} clips/s ({speed.machine or speed.device}, "
            f"{speed.precision}, {speed.threads} threads), decoding not counted |"
        )
    lines += [f"| measured | {measured.measured_at} |"]
    lines += ["", f"![Which class was heard as which]({measured.pictures['confusion']})", ""]
    lines += [f"![How far confidence holds]({measured.pictures['reliability']})", ""]
    lines += ["| class | clips | right | mistaken for |", "|---|---|---|---|"]
    for figures in sorted(measured.by_class, key=lambda one: one.accuracy or 0):
        share = "" if figures.accuracy is None else f"{figures.accuracy:.0%}"
        other = plots.words(figures.mistaken_for or "")
        lines.append(f"| {plots.words(figures.name)} | {figures.clips} | {share} | {other} |")
    return "\n".join([*lines, ""])


def _calibration_lines(measured: Evaluation) -> list[str]:
    def line(name: str, one: Calibration) -> str:
        low, high = one.band
        return f"| {name} | {one.ece:.2%} (perfect: {low:.1%} to {high:.1%}) |"

    lines = [line(f"calibration error, temperature {measured.temperature}", measured.calibration)]
    if measured.calibration_uncorrected:
        lines.append(line("the same with temperature 1", measured.calibration_uncorrected))
    if measured.calibration_crossed:
        name = "the same, each clip with a temperature that it had no part in"
        lines.append(line(name, measured.calibration_crossed))
    return lines
