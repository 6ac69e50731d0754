"""The evaluation of a checkpoint, stored as JSON beside it.

Written by `training.evaluate`, read by the web process. Does not import torch.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from ml.from_json import from_json

# Changes with the shape of the JSON.
FORMAT = 2


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """The results for one class.

    Attributes
    ----------
    accuracy : float or None
        None if the class has no clips.
    mistaken_for : str or None
        The most frequent wrong prediction, None if there is none.
    """

    name: str
    clips: int
    right: int
    accuracy: float | None
    mistaken_for: str | None


@dataclass(frozen=True, slots=True)
class Mistake:
    """A clip that was classified wrongly.

    Attributes
    ----------
    file : str
        The file's name without its folder.
    confidence : float
        Of the wrong prediction.
    """

    file: str
    label: str
    answer: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Speed:
    """The measured throughput.

    Attributes
    ----------
    clips_per_s : float
        Features and network, without reading and decoding the files.
    machine : str
        The name that the processor or GPU reports, "" if it reports none.
    """

    clips_per_s: float
    device: str
    precision: str
    threads: int
    machine: str = ""

    def __str__(self) -> str:
        return f"{self.machine or self.device}, {self.precision}, {self.threads} threads"


@dataclass(frozen=True, slots=True)
class Bin:
    """The clips whose confidence lies in (low, high]. Both means are None if there are none."""

    low: float
    high: float
    clips: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well confidence matches accuracy.

    Attributes
    ----------
    ece : float
        The expected calibration error over 15 bins of equal width; 0 is perfect.
    band : (low, high)
        Where 90 % of the errors of a perfectly calibrated network with the same confidences would
        lie: with so few clips the error is never 0. An `ece` within the band is no evidence of
        miscalibration.
    """

    ece: float
    band: tuple[float, float]
    log_loss: float
    bins: tuple[Bin, ...]

    @property
    def surplus(self) -> float:
        """Accuracy minus mean confidence. Above 0 the network is underconfident."""
        # Both means are None in a bin without clips, which has no weight.
        gaps = (one.clips * ((one.accuracy or 0) - (one.confidence or 0)) for one in self.bins)
        return sum(gaps) / max(1, sum(one.clips for one in self.bins))

    @property
    def verdict(self) -> str:
        """The calibration in words: good unless `ece` is above `band`."""
        if self.ece <= self.band[1]:
            return "confidence matches accuracy"
        if self.surplus > self.ece / 2:
            return "underconfident: more often right than its confidence suggests"
        if self.surplus < -self.ece / 2:
            return "overconfident: less often right than its confidence suggests"
        return "overconfident for some clips, underconfident for others"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The evaluation of a checkpoint on one fold.

    Shares are from 0 to 1 and shown as percentages.

    Attributes
    ----------
    checkpoint : str
        Name of the checkpoint's file.
    weights : str
        The first 12 hex digits of the weights' SHA-256.
    data : str
        Name of the data set.
    folds_seen : tuple of int
        The folds used for training or for choosing the epoch.
    seen : bool
        Whether `fold` is one of them, so that the figures say nothing about new clips.
    accuracy_range : (low, high)
        The 95 % Wilson interval of the accuracy.
    confusion : (classes, classes)
        Counts, a row per label and a column per prediction, in the order of `classes`.
    calibration : Calibration
        With `temperature`, as users receive it.
    calibration_uncorrected : Calibration or None
        With temperature 1. None if that is the temperature.
    calibration_crossed : Calibration or None
        With temperatures fitted on other clips than those they are applied to. Given only if a
        temperature was fitted on this fold.
    speed : Speed or None
        None if it is not reported.
    notes : tuple of str
        Sentences to show beside the figures.
    measured_at : datetime or None
        In UTC. None if unknown.
    pictures : dict of str to str
        What each picture shows, by the name of its file beside the JSON.
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
    measured_at: datetime | None
    pictures: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @classmethod
    def from_json(cls, payload: dict[str, Any]) -> "Evaluation":
        """Read what `to_json` returned. Raise the errors of `ml.from_json` for anything else."""
        return from_json(cls, payload)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"measured_at": self.measured_at and self.measured_at.isoformat()}
