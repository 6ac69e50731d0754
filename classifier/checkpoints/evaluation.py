"""What was measured of a checkpoint: the report that `training.evaluate --out` wrote beside it."""

import json
from dataclasses import dataclass
from pathlib import Path

from classifier.checkpoints import inventory
from classifier.checkpoints.inventory import Installed
from ml.evaluation import FORMAT, Bin, Evaluation

PICTURES = ("confusion", "reliability")
MIN_ANSWERS = 10
NO_REPORT = "Nobody has measured it here yet."
OTHER_FORMAT = "The report beside it was written by another version."
OTHER_WEIGHTS = "The report beside it is about other weights or another temperature."
DAMAGED = "The report beside it cannot be read."


@dataclass(frozen=True, slots=True)
class Picture:
    """`version` changes with the file."""

    path: Path
    version: str


@dataclass(frozen=True, slots=True)
class Report:
    """`evaluation`, or in `trouble` a sentence why there is none."""

    evaluation: Evaluation | None
    trouble: str
    pictures: dict[str, Picture]


def report_of(found: Installed) -> Report:
    path = found.path.with_name(f"{found.name}.evaluation.json")
    try:
        payload = json.loads(path.read_text())
        if payload["format"] != FORMAT:
            return Report(None, OTHER_FORMAT, {})
        evaluation = Evaluation.from_json(payload)
    except FileNotFoundError:
        return Report(None, NO_REPORT, {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Report(None, DAMAGED, {})
    measured = (evaluation.weights, evaluation.temperature)
    if measured != (found.weights, found.info.temperature):
        return Report(None, OTHER_WEIGHTS, {})
    pictures = {name: picture for name in PICTURES if (picture := picture_of(found, name))}
    return Report(evaluation, "", pictures)


def meaning(identity: str, confidence: float | None) -> Bin | None:
    """How often answers as sure as this one were right, on sounds the weights had never heard.

    None where that was not measured, or on too few answers to say anything.
    """
    found = inventory.find(identity)
    evaluation = report_of(found).evaluation if found else None
    if evaluation is None or evaluation.seen or confidence is None:
        return None
    for one in evaluation.calibration.bins:
        if one.low < confidence <= one.high and one.clips >= MIN_ANSWERS:
            return one
    return None


def picture_of(found: Installed, name: str) -> Picture | None:
    """One of PICTURES, where it is there."""
    path = found.path.with_name(f"{found.name}.{name}.png")
    try:
        facts = path.stat()
    except OSError:
        return None
    return Picture(path, f"{facts.st_mtime_ns:x}-{facts.st_size:x}")
