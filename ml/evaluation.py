"""What was measured of a checkpoint, as the JSON file beside it. Written by `training.evaluate`,
read by the web process: no torch.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from ml.from_json import from_json

# Changes with the shape of the JSON.
FORMAT = 2


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class. accuracy: None without clips · mistaken_for: the commonest wrong answer, None if
    there was none."""

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

    def __str__(self) -> str:
        return f"{self.machine or self.device}, {self.precision}, {self.threads} threads"


@dataclass(frozen=True, slots=True)
class Bin:
    """Clips whose confidence lies in (low, high]; both means are None where there is none."""

    low: float
    high: float
    clips: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """ece: the expected calibration error, over 15 bins of equal width (0 is perfect).

    band: where 90 % of the errors of a perfectly calibrated network with these very confidences
    would lie, for so few clips never give 0. An `ece` within it is no attribution of a fault.
    """

    ece: float
    band: tuple[float, float]
    log_loss: float
    bins: tuple[Bin, ...]

    @property
    def surplus(self) -> float:
        """The share of right answers less the mean confidence: above 0 it is too modest."""
        # Both means are None in a bin without clips, which counts for nothing.
        gaps = (one.clips * ((one.accuracy or 0) - (one.confidence or 0)) for one in self.bins)
        return sum(gaps) / max(1, sum(one.clips for one in self.bins))

    @property
    def verdict(self) -> str:
        """Whether confidence holds; no worse than a perfect network may look is good enough."""
        if self.ece <= self.band[1]:
            return "its confidence holds"
        if self.surplus > self.ece / 2:
            return "too modest: right more often than it says"
        if self.surplus < -self.ece / 2:
            return "too sure: right less often than it says"
        return "too sure here, too modest there"


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
    was not to be told · notes: sentences that belong beside the figures · measured_at: in UTC,
    None where it is not known · pictures: what is drawn, by the file's name beside the JSON.
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
        """Raises as `ml.from_json` where it is not what `to_json` gave."""
        return from_json(cls, payload)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"measured_at": self.measured_at and self.measured_at.isoformat()}
