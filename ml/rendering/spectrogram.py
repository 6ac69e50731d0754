"""The pictures of a whole clip (spectrogram, strip and waveform) and the ticks of their axes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.render_metadata import FrequencyTick
from ml.rendering import png

# Cells that are this much below the loudest one are black.
PICTURE_RANGE_DB = 80.0
# Pictures of longer clips average neighbouring frames, because no screen is wider.
MAX_PICTURE_COLUMNS = 2048
STRIP_HEIGHT, STRIP_WIDTH = 32, 160
PEAK_COLUMNS = 1000
FREQUENCY_TICKS_HZ = (100, 250, 500, 1000, 2000, 4000, 8000, 16000)


@dataclass(frozen=True, slots=True)
class SpectrogramPictures:
    """The PNGs of a clip's spectrogram.

    Attributes
    ----------
    picture : bytes
        For the result page.
    columns : int
        Width of `picture` in pixels.
    strip : bytes
        A small picture for lists.
    low_db, high_db : float
        The values of the first and the last colour of both pictures.
    """

    picture: bytes
    columns: int
    strip: bytes
    low_db: float
    high_db: float


def draw(decibels: NDArray[np.floating]) -> SpectrogramPictures:
    """Draw a clip's spectrogram.

    Parameters
    ----------
    decibels : (mels, frames)
        Row 0 is the lowest frequency.
    """
    high = float(decibels.max())
    low = high - PICTURE_RANGE_DB
    wide = shrink(decibels, len(decibels), MAX_PICTURE_COLUMNS)
    strip = shrink(decibels, STRIP_HEIGHT, STRIP_WIDTH)
    return SpectrogramPictures(
        png.picture(wide, low, high).png, wide.shape[1], png.picture(strip, low, high).png,
        round(low, 2), round(high, 2),
    )  # fmt: skip


def frequency_ticks(centres_hz: Sequence[float], f_max_hz: float) -> tuple[FrequencyTick, ...]:
    """Return the positions of round frequencies on the mel axis.

    Parameters
    ----------
    centres_hz : sequence of float
        Centres of the mel bands, lowest first.
    f_max_hz : float
        Highest frequency that may have a tick.
    """
    places = (np.arange(len(centres_hz)) + 0.5) / len(centres_hz)
    return tuple(
        FrequencyTick(hz, round(float(np.interp(hz, centres_hz, places)), 4))
        for hz in FREQUENCY_TICKS_HZ
        if centres_hz[0] < hz <= f_max_hz
    )


def shrink(values: NDArray[np.floating], height: int, width: int) -> NDArray[np.floating]:
    """Average neighbouring cells of `values`, (H, W), until it is at most (height, width)."""
    for axis, most in ((0, height), (1, width)):
        if values.shape[axis] > most:
            edges = np.linspace(0, values.shape[axis], most, endpoint=False).astype(int)
            counts = np.diff([*edges, values.shape[axis]])
            total = np.add.reduceat(values, edges, axis=axis)
            values = total / (counts[:, None] if axis == 0 else counts)
    return values


def peaks(waveform: NDArray[np.float32], columns: int = PEAK_COLUMNS) -> list[float]:
    """Return the lowest and highest sample of equal parts of a waveform, for drawing it.

    Parameters
    ----------
    waveform : (samples,) float32
    columns : int
        Largest number of parts.

    Returns
    -------
    list of float
        [lowest, highest, lowest, …], two values per part.
    """
    columns = min(columns, len(waveform))
    edges = np.linspace(0, len(waveform), columns, endpoint=False).astype(int)
    low = np.minimum.reduceat(waveform, edges)
    high = np.maximum.reduceat(waveform, edges)
    return np.round(np.stack([low, high], axis=1, dtype=float).ravel(), 3).tolist()
