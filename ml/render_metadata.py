"""The metadata of an analysis' pictures: plain values that the worker stores with a result.

The pages and the API read them.
"""

from dataclasses import asdict, dataclass
from typing import Any

from ml.from_json import from_json

# A clip that exceeds one window by less than this is shown as one window.
MIN_REST_S = 0.25


@dataclass(frozen=True, slots=True)
class MapInfo:
    """A mean map.

    Attributes
    ----------
    shape : (H, W)
    channels : int
        How many channels the mean is over.
    low, high : float
        The range of the values.
    """

    name: str
    shape: tuple[int, int]
    channels: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PooledInfo:
    """The picture of the pooled vector.

    Attributes
    ----------
    shape : (rows, columns)
    low, high : float
        The range of the values.
    """

    shape: tuple[int, int]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LogitInfo:
    """The logit of a class in a window, and its probability: after calibration and softmax."""

    label: str
    logit: float
    confidence: float


@dataclass(frozen=True, slots=True)
class ArchiveIndex:
    """The index of a map archive.

    Attributes
    ----------
    maps : tuple of MapInfo
        In the order of the data flow.
    logits : tuple of LogitInfo
        The highest of the window, in falling order.
    """

    maps: tuple[MapInfo, ...]
    pooled: PooledInfo
    logits: tuple[LogitInfo, ...]

    @classmethod
    def from_json(cls, payload: dict[str, Any]) -> "ArchiveIndex":
        """Read the index from a dictionary that may have other keys as well."""
        return from_json(cls, {name: payload[name] for name in ("maps", "pooled", "logits")})

    def picture_names(self) -> list[str]:
        """Return every name that `map_archive.picture` accepts for this archive."""
        return [*(one.name for one in self.maps), "pooled"]


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """One channel of a stage.

    Attributes
    ----------
    contribution : float
        How much the channel contributed to the explained class, in logits.
    low, high : float
        The range of the values.
    """

    number: int
    contribution: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ExplanationIndex:
    """The index of the archive of an explanation of one class.

    Attributes
    ----------
    logit : float
        Of the class in the explained window.
    shape : (H, W)
        Of the attribution.
    strongest : dict of str to tuple of ChannelInfo
        For each stage, the channels that contributed most to the class, in falling order.
    """

    logit: float
    shape: tuple[int, int]
    strongest: dict[str, tuple[ChannelInfo, ...]]

    @classmethod
    def from_json(cls, payload: dict[str, Any]) -> "ExplanationIndex":
        """Read the index from a dictionary that may have other keys as well."""
        return from_json(cls, {name: payload[name] for name in ("logit", "shape", "strongest")})

    def picture_names(self) -> list[str]:
        """Return every name that `map_archive.picture` accepts for this archive."""
        channels = (
            f"{stage}.top{rank}"
            for stage, its in self.strongest.items()
            for rank in range(len(its))
        )
        return ["attribution", *channels]


@dataclass(frozen=True, slots=True)
class FrequencyTick:
    """A tick of the mel axis. `place` is 0 at the bottom and 1 at the top."""

    hz: int
    place: float


@dataclass(frozen=True, slots=True)
class WindowPrediction:
    start_s: float
    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class EarlyPictures:
    """The axes of the pictures that are stored before a long clip is classified.

    Attributes
    ----------
    low_db, high_db : float
        The range of the spectrogram's picture.
    columns, mels : int
        Its size.
    window_s : float
        Length of a window of the checkpoint.
    """

    low_db: float
    high_db: float
    columns: int
    mels: int
    ticks: tuple[FrequencyTick, ...]
    window_s: float

    @classmethod
    def from_json(cls, payload: dict[str, Any]) -> "EarlyPictures":
        return from_json(cls, payload)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RenderMetadata:
    """The axes and value ranges of an analysis' pictures.

    Attributes
    ----------
    low_db, high_db : float
        The range of the spectrogram's picture.
    frames : int
        Frames of the spectrogram.
    shown_columns : int
        Columns of its picture, where neighbouring frames may be averaged.
    band_centres_hz : tuple of int
        Of the mel bands, lowest first.
    shown_window : int
        The window that `index` describes: the one with the highest probability for the top class.
    window_predictions : tuple of WindowPrediction
        Of every window, or () if there is only one.
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

    def is_long(self, duration_s: float) -> bool:
        """Return whether the clip is shown as a recording: events, and one window of several."""
        return bool(self.window_predictions) and duration_s >= self.window_s + MIN_REST_S

    @property
    def shown_from_s(self) -> float:
        return self.start_s(self.shown_window)

    def start_s(self, window: int) -> float:
        """Return where a window begins in the clip, in seconds."""
        return self.window_predictions[window].start_s if self.window_predictions else 0.0
