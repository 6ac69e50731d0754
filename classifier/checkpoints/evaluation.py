"""What was measured of a checkpoint: the report that `training.evaluate --out` wrote beside it.

`Evaluation` in `training/evaluate/report.py` says what each field of the file means.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from classifier.checkpoints import inventory
from classifier.checkpoints.inventory import Installed

# The second one knows when and on which machine it was measured.
FORMATS = (1, 2)
PICTURES = ("confusion", "reliability")
MIN_ANSWERS = 10
NO_REPORT = "Nobody has measured it here yet."
OTHER_FORMAT = "The report beside it was written by another version."
OTHER_WEIGHTS = "The report beside it is about other weights or another temperature."
DAMAGED = "The report beside it cannot be read."


@dataclass(frozen=True, slots=True)
class ClassShare:
    """mistaken_for: the commonest wrong answer, "" if there was none."""

    name: str
    clips: int
    right: int
    accuracy: float
    mistaken_for: str


@dataclass(frozen=True, slots=True)
class Bin:
    """Of the answers with a confidence from low to high, this share was right."""

    low: float
    high: float
    clips: int
    share: float


@dataclass(frozen=True, slots=True)
class Speed:
    clips_per_s: float
    machine: str


@dataclass(frozen=True, slots=True)
class Picture:
    """`version` changes with the file."""

    path: Path
    version: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Shares are 0 to 1. `classes`: those with clips, the weakest first.

    modesty: share of right answers less the mean confidence; above 0 it is too modest, below too
    sure. ece_before: with temperature 1; ece_crossed: where no clip had part in its own
    temperature; None where that is no question. measured_at: None in reports that do not say.
    """

    data: str
    fold: int
    seen: bool
    clips: int
    accuracy: float
    accuracy_range: tuple[float, float]
    accuracy_top3: float
    temperature: float
    ece: float
    band: tuple[float, float]
    modesty: float
    ece_before: float | None
    ece_crossed: float | None
    bins: tuple[Bin, ...]
    classes: tuple[ClassShare, ...]
    speed: Speed | None
    measured_at: datetime | None

    @property
    def confidence(self) -> str:
        """Whether it can be believed; no worse than a perfect network may look is good enough."""
        if self.ece <= self.band[1]:
            return "its confidence holds"
        if self.modesty > self.ece / 2:
            return "too modest: right more often than it says"
        if self.modesty < -self.ece / 2:
            return "too sure: right less often than it says"
        return "too sure here, too modest there"


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
        trouble = _trouble(payload, found)
        evaluation = None if trouble else _evaluation(payload)
    except FileNotFoundError:
        return Report(None, NO_REPORT, {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Report(None, DAMAGED, {})
    if evaluation is None:
        return Report(None, trouble, {})
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
    for one in evaluation.bins:
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


def _trouble(payload: dict[str, Any], found: Installed) -> str:
    if payload["format"] not in FORMATS:
        return OTHER_FORMAT
    same = (
        payload["weights"] == found.weights
        and payload["temperature"] == found.header["temperature"]
    )
    return "" if same else OTHER_WEIGHTS


def _evaluation(payload: dict[str, Any]) -> Evaluation:
    shares = [
        ClassShare(
            row["name"], row["clips"], row["right"], row["accuracy"], row["mistaken_for"] or ""
        )
        for row in payload["by_class"]
        if row["accuracy"] is not None
    ]
    at = payload.get("measured_at")
    return Evaluation(
        data=payload["data"],
        fold=payload["fold"],
        seen=payload["seen"],
        clips=payload["clips"],
        accuracy=payload["accuracy"],
        accuracy_range=_two(payload["accuracy_range"]),
        accuracy_top3=payload["accuracy_top3"],
        temperature=payload["temperature"],
        ece=payload["calibration"]["ece"],
        band=_two(payload["calibration"]["band"]),
        modesty=_modesty(payload["calibration"]["bins"]),
        ece_before=_ece(payload["calibration_uncorrected"]),
        ece_crossed=_ece(payload["calibration_crossed"]),
        bins=tuple(
            Bin(one["low"], one["high"], one["clips"], one["accuracy"])
            for one in payload["calibration"]["bins"]
            if one["clips"]
        ),
        classes=tuple(sorted(shares, key=lambda share: (share.accuracy, share.name))),
        speed=_speed(payload["speed"]) if payload["speed"] else None,
        measured_at=datetime.fromisoformat(at) if at else None,
    )


def _two(edges: list[float]) -> tuple[float, float]:
    low, high = edges
    return low, high


def _modesty(bins: list[dict[str, Any]]) -> float:
    used = [one for one in bins if one["clips"]]
    surplus = sum(one["clips"] * (one["accuracy"] - one["confidence"]) for one in used)
    return surplus / max(1, sum(one["clips"] for one in used))


def _ece(calibration: dict[str, Any] | None) -> float | None:
    return calibration["ece"] if calibration else None


def _speed(payload: dict[str, Any]) -> Speed:
    machine = payload.get("machine") or payload["device"]
    return Speed(
        payload["clips_per_s"], f"{machine}, {payload['precision']}, {payload['threads']} threads"
    )
