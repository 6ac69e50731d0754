"""Where in a window each class is: from the places of the last stage, layer4. Without torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ml.explain.results import Array

# Place i of layer4 is centred on band or frame 32 i of the spectrogram, which is halved five times.
LAYER4_STEP = 32
# A cell of the levels of a window, in frames of the spectrogram.
LEVEL_FRAMES = 4
# An event's frequency range contains this share of what counts for its class.
RANGE_SHARE = 0.9
# How much of the quietest level of each band in the window is subtracted as background.
BACKGROUND_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Places:
    """What the last stage says of each part of a window.

    Attributes
    ----------
    logits : (classes, h, w)
        Of each place, whose mean over the places are the logits of the window: the class
        activation map (Zhou et al., 2016).
    bands : (mels, w)
        The loudest value of each band of the normalised spectrogram near each column.
    levels : (cells,)
        The mean of all bands, in cells of LEVEL_FRAMES.
    """

    logits: Array
    bands: Array
    levels: Array

    def columns(self) -> Array:
        """Return the logits of each column, (w, classes): the mean over the frequencies."""
        return self.logits.mean(axis=1).T

    def ranges_hz(self, classes: Iterable[int], deviation_db: float, edges_hz: Array) -> Array:
        """Return where each class is in frequency, in the column that has its largest logit.

        The power of each band, less the background, is weighted with the class activation map.
        The range holds the central RANGE_SHARE of it.

        Parameters
        ----------
        classes : iterable of int
        deviation_db : float
            How many dB a difference of 1 in the spectrogram is.
        edges_hz : (mels + 1,)
            The limits between the bands.

        Returns
        -------
        Array
            (classes, 2): low and high; NaN for other classes than these.
        """
        found = np.full((len(self.logits), 2), np.nan, np.float32)
        power = 10 ** ((self.bands - self.bands.max()) * (deviation_db / 10))
        power -= BACKGROUND_SHARE * power.min(axis=1, keepdims=True)
        mels = np.arange(len(self.bands))
        rows = np.arange(self.logits.shape[1]) * LAYER4_STEP
        for number in classes:
            activation = self.logits[number]
            column = int(activation.mean(axis=0).argmax())
            weights = np.interp(mels, rows, activation[:, column].clip(0))
            shares = np.cumsum(weights * power[:, column])
            if shares[-1] > 0:
                tails = np.array([1 - RANGE_SHARE, 1 + RANGE_SHARE]) / 2 * shares[-1]
                low, high = np.searchsorted(shares, tails)
                found[number] = edges_hz[low], edges_hz[high + 1]
        return found


def band_edges_hz(centres_hz: Sequence[float], low_hz: float, high_hz: float) -> Array:
    """Return the limits between the mel bands, (bands + 1,), from the lowest to the highest."""
    centres = np.array(centres_hz)
    return np.concatenate([[low_hz], (centres[1:] + centres[:-1]) / 2, [high_hz]])
