"""Evaluation reports of checkpoints, as `training.evaluate --out` writes them beside the file."""

import json
from dataclasses import dataclass
from pathlib import Path

from classifier.checkpoints import inventory
from classifier.checkpoints.inventory import Installed
from ml.checkpoint_info import Rejection
from ml.evaluation import FORMAT, Bin, Evaluation

PICTURES = ("confusion", "reliability")
MIN_ANSWERS = 10
OTHER_FORMAT = "The evaluation report was written by another version of Sonoscope."
OTHER_WEIGHTS = "The evaluation report is for other weights or another temperature."
DAMAGED = "The evaluation report cannot be read."


@dataclass(frozen=True, slots=True)
class Picture:
    """A diagram of a report.

    Attributes
    ----------
    version : str
        Changes whenever the file changes.
    """

    path: Path
    version: str


@dataclass(frozen=True, slots=True)
class Report:
    """The evaluation of a checkpoint, if there is a valid one.

    Attributes
    ----------
    trouble : str
        What is wrong with the report, in a sentence; "" if it is valid, or if there is none.
    pictures : dict of str to Picture
        The diagrams that exist, by name.
    """

    evaluation: Evaluation | None
    trouble: str
    pictures: dict[str, Picture]


def report_of(found: Installed) -> Report:
    """Return the report beside the checkpoint; if it is not valid, `trouble` gives the reason."""
    path = found.path.with_name(f"{found.name}.evaluation.json")
    try:
        payload = json.loads(path.read_text())
        if payload["format"] != FORMAT:
            return Report(None, OTHER_FORMAT, {})
        evaluation = Evaluation.from_json(payload)
    except FileNotFoundError:
        return Report(None, "", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Report(None, DAMAGED, {})
    measured = (evaluation.weights, evaluation.temperature)
    if measured != (found.weights, found.info.temperature):
        return Report(None, OTHER_WEIGHTS, {})
    pictures = {name: picture for name in PICTURES if (picture := picture_of(found, name))}
    return Report(evaluation, "", pictures)


def meaning(identity: str, confidence: float | None) -> Bin | None:
    """Return how often predictions of this confidence were right on sounds not used in training.

    Parameters
    ----------
    identity : str
        Identity of the checkpoint.
    confidence : float or None
        Confidence of the prediction, 0 to 1.

    Returns
    -------
    Bin or None
        The calibration bin; None if it was not measured, or on fewer than `MIN_ANSWERS` clips.
    """
    found = inventory.find(identity)
    evaluation = report_of(found).evaluation if found else None
    if evaluation is None or evaluation.seen or confidence is None:
        return None
    for one in evaluation.calibration.bins:
        if one.low < confidence <= one.high and one.clips >= MIN_ANSWERS:
            return one
    return None


def rejection(identity: str) -> Rejection | None:
    """Return how often a checkpoint is not sure, None if it is unknown or never is.

    Parameters
    ----------
    identity : str
        Identity of the checkpoint.
    """
    found = inventory.find(identity)
    return found.info.rejection if found else None


def picture_of(found: Installed, name: str) -> Picture | None:
    """Return a diagram of the report, if the file exists.

    Parameters
    ----------
    name : str
        One of PICTURES.
    """
    path = found.path.with_name(f"{found.name}.{name}.png")
    try:
        facts = path.stat()
    except OSError:
        return None
    return Picture(path, f"{facts.st_mtime_ns:x}-{facts.st_size:x}")
