"""What a classifier returns for a clip, and how a clip is divided into windows. Without torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.audio.waveform import Waveform
from ml.explain.results import Activations, Array


@dataclass(frozen=True, slots=True)
class Prediction:
    label: str
    confidence: float

    def to_json(self) -> dict[str, str | float]:
        """Return the prediction as it appears in JSON responses."""
        return {"class": self.label, "confidence": round(self.confidence, 6)}


@dataclass(frozen=True, slots=True)
class ClipPrediction:
    """The prediction for one clip.

    Attributes
    ----------
    probabilities : (classes,)
        The mean over the windows.
    window_probabilities : (windows, classes)
    window_embeddings : (windows, 512)
    window_columns : (windows, columns, classes) float16
        The logits of each column of layer4, `ml.places.Places.columns`.
    window_levels_db : (windows, cells) float16
        The mean level of the bands of the spectrogram, in cells of `ml.places.LEVEL_FRAMES`.
    window_ranges_hz : (windows, classes, 2)
        Where each class that is probable enough is in frequency; NaN for the others.
    window_starts_s : tuple of float
        Where each window begins, in seconds.
    shown_window : int
        The window with the highest probability for the top class.
    """

    probabilities: Array
    window_probabilities: Array
    window_embeddings: Array
    window_columns: NDArray[np.float16]
    window_levels_db: NDArray[np.float16]
    window_ranges_hz: Array
    window_starts_s: tuple[float, ...]
    shown_window: int

    @property
    def top_class(self) -> int:
        """The number of the most probable class."""
        return int(self.probabilities.argmax())

    @property
    def embedding(self) -> Array:
        """The mean of the windows' embeddings, (512,)."""
        return self.window_embeddings.mean(axis=0)


@dataclass(frozen=True, slots=True)
class Result(ClipPrediction):
    """A prediction with the activations of its shown window."""

    activations: Activations


class BestWindows:
    """The activations of the best window so far for each class.

    The shown window is known only when the last window of a clip was computed. Until then the
    window with the highest probability for each class is kept: at most as many as there are
    classes, however long the clip is.
    """

    def __init__(self, classes: int) -> None:
        self.probabilities = np.full(classes, -1.0, np.float32)
        self.windows = np.full(classes, -1)
        self.kept: dict[int, Activations] = {}
        self._spare: list[Activations] = []

    def add(self, window: int, probabilities: Array, activations: Activations) -> None:
        """Keep a window if it is the best one so far for a class.

        Parameters
        ----------
        window : int
            Its number; windows are added in order.
        probabilities : (classes,)
        """
        better = probabilities > self.probabilities
        if not better.any():
            return
        self.probabilities[better] = probabilities[better]
        self.windows[better] = window
        # Copied, because the arrays of one window are parts of those of its whole chunk. Where
        # possible into the arrays of a former best window: new ones would fragment the memory.
        still_best = set(self.windows.tolist())
        self._spare += [self.kept.pop(number) for number in set(self.kept) - still_best]
        self.kept[window] = activations.copy(self._spare.pop() if self._spare else None)

    def of(self, top_class: int) -> tuple[int, Activations]:
        """Return the number and the activations of the best window for a class."""
        window = int(self.windows[top_class])
        return window, self.kept[window]


class Windows:
    """The windows of clips, one after another, read when asked for: a recording may be long."""

    def __init__(
        self, waveforms: Sequence[Waveform], starts: Sequence[Sequence[int]], length: int
    ) -> None:
        """Define the windows of `length` samples at `starts`, (clips, windows)."""
        self._length = length
        self._places = [
            (waveform, start)
            for waveform, its_starts in zip(waveforms, starts, strict=True)
            for start in its_starts
        ]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, part: slice) -> list[Array]:
        """Return some windows, (samples,) each; shorter where a clip ends."""
        return [waveform[start : start + self._length] for waveform, start in self._places[part]]


def window_starts(samples: int, window: int, hop: int) -> list[int]:
    """Return the first sample of each window of a clip.

    Windows overlap by half. The last one ends with the clip, unless it would add less than one
    spectrogram step: a remainder shorter than `hop` adds no frame, so it gets no window.

    Parameters
    ----------
    samples : int
        Length of the clip.
    window : int
        Length of a window in samples.
    hop : int
        Samples between two frames of the spectrogram.
    """
    starts = list(range(0, max(samples - window, 0) + 1, window // 2))
    if samples - window - starts[-1] >= hop:
        starts.append(samples - window)
    return starts
