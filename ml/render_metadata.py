"""What is on the files of an analysis: the plain values that the worker stores with a result, and
that pages and API read.
"""

from dataclasses import asdict, dataclass
from typing import Any

from ml.from_json import from_json


@dataclass(frozen=True, slots=True)
class MapInfo:
    """A mean map. shape: (H, W) · channels: how many it is the mean of · low, high: its range."""

    name: str
    shape: tuple[int, int]
    channels: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class AttributionInfo:
    """What spoke for one class. shape: (H, W) · logit: of that class in the window shown."""

    label: str
    logit: float
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """One channel of a stage. contribution: how much it spoke for the best class, in logits."""

    number: int
    contribution: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PooledInfo:
    """The pooled vector as a picture. shape: (rows, columns)."""

    shape: tuple[int, int]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ActivationsInfo:
    """attribution: of the best classes in their order · strongest: by stage, the channels that
    spoke most for the best class, in falling order."""

    attribution: tuple[AttributionInfo, ...]
    strongest: dict[str, tuple[ChannelInfo, ...]]
    pooled: PooledInfo


@dataclass(frozen=True, slots=True)
class ArchiveIndex:
    """What is on the pictures of a map archive. maps: in the order the data flows."""

    maps: tuple[MapInfo, ...]
    activations: ActivationsInfo

    @classmethod
    def from_json(cls, payload: dict[str, Any]) -> "ArchiveIndex":
        """Of a dictionary that may hold more."""
        return from_json(cls, {name: payload[name] for name in ("maps", "activations")})

    def picture_names(self) -> list[str]:
        """Every name that `map_archive.picture` can be asked for."""
        found = [one.name for one in self.maps]
        for stage, channels in self.activations.strongest.items():
            found += [f"{stage}.top{rank}" for rank in range(len(channels))]
        found += [f"attribution.{rank}" for rank in range(len(self.activations.attribution))]
        return [*found, "pooled"]


@dataclass(frozen=True, slots=True)
class FrequencyTick:
    """place: 0 is the bottom of the mel axis, 1 its top."""

    hz: int
    place: float


@dataclass(frozen=True, slots=True)
class WindowPrediction:
    start_s: float
    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class RenderMetadata:
    """The axes and ranges of an analysis' pictures.

    low_db, high_db: the range of the spectrogram's picture · frames: of the spectrogram ·
    shown_columns: of its picture, where neighbouring frames may be averaged · band_centres_hz: of
    the mel bands, lowest first · shown_window: the one that `index` is of, and that speaks most
    for the answer · window_predictions: of every window, () where there is only one.
    """

    low_db: float
    high_db: float
    frames: int
    shown_columns: int
    ticks: tuple[FrequencyTick, ...]
    band_centres_hz: tuple[int, ...]
    window_s: float
    shown_window: int
    window_predictions: tuple[WindowPrediction, ...]
    index: ArchiveIndex

    @classmethod
    def from_json(cls, payload: dict[str, Any]) -> "RenderMetadata":
        return from_json(cls, payload)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def mels(self) -> int:
        return len(self.band_centres_hz)

    @property
    def window_count(self) -> int:
        return max(1, len(self.window_predictions))

    @property
    def shown_from_s(self) -> float:
        return self.start_s(self.shown_window)

    def start_s(self, window: int) -> float:
        """Where a window begins in the clip, in seconds."""
        return self.window_predictions[window].start_s if self.window_predictions else 0.0
