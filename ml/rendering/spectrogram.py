"""The pictures of a whole clip (spectrogram, strip and waveform) and the ticks of their axes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.audio.waveform import Waveform, parts_of
from ml.checkpoint_info import SILENCE_DB
from ml.render_metadata import FrequencyTick
from ml.rendering import png
from ml.tiles import Tile

# Cells that are this much below the loudest one, or silent, are black.
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


def draw(parts: Iterable[NDArray[np.floating]], frames: int) -> SpectrogramPictures:
    """Draw a clip's spectrogram.

    Parameters
    ----------
    parts : iterable of (mels, frames)
        In the order of time. Row 0 is the lowest frequency.
    frames : int
        Of all parts together.
    """
    high = -np.inf
    wide = Columns(np.add, 0.0, frames, MAX_PICTURE_COLUMNS)
    narrow = Columns(np.add, 0.0, frames, STRIP_WIDTH)
    for decibels in parts:
        high = max(high, float(decibels.max()))
        wide.add(decibels)
        narrow.add(_rows(decibels, STRIP_HEIGHT))
    # Silence is black, also in a clip without a louder cell.
    low = max(high - PICTURE_RANGE_DB, SILENCE_DB)
    high = low + PICTURE_RANGE_DB
    picture, strip = wide.values / wide.counts, narrow.values / narrow.counts
    return SpectrogramPictures(
        png.picture(picture, low, high).png, picture.shape[1], png.picture(strip, low, high).png,
        round(low, 2), round(high, 2),
    )  # fmt: skip


def draw_tile(
    parts: Iterable[NDArray[np.floating]], place: Tile, low_db: float, high_db: float
) -> bytes:
    """Draw a tile of a clip's spectrogram as a PNG, in the colours of the whole picture.

    Parameters
    ----------
    parts : iterable of (mels, frames)
        The frames of the tile, in the order of time.
    low_db, high_db : float
        The values of the first and the last colour, from `SpectrogramPictures`.
    """
    columns = Columns(np.add, 0.0, place.frames, place.columns)
    for decibels in parts:
        columns.add(decibels)
    return png.picture(columns.values / columns.counts, low_db, high_db).png


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


def _rows(values: NDArray[np.floating], most: int) -> NDArray[np.floating]:
    """Average neighbouring rows of `values`, (H, W), until there are at most `most`."""
    if len(values) <= most:
        return values
    firsts = np.linspace(0, len(values), most, endpoint=False).astype(int)
    counts = np.diff(firsts, append=len(values)).astype(values.dtype)
    return np.add.reduceat(values, firsts, axis=0) / counts[:, None]


class Columns:
    """Neighbouring cells along the last axis of an array, combined into columns, part by part.

    Attributes
    ----------
    values : (…, columns)
    counts : (columns,)
        How many cells each column combines.
    """

    def __init__(self, combine: np.ufunc, start: float, cells: int, most: int) -> None:
        """Begin at the first of `cells` cells.

        Parameters
        ----------
        combine : function of two cells, such as np.add or np.minimum
        start : value that `combine` leaves unchanged, such as 0 or infinity
        cells : number of cells of all parts
        most : largest number of columns
        """
        self._combine, self._start, self._cells = combine, start, cells
        self._first_cells = np.linspace(0, cells, min(cells, most), endpoint=False).astype(int)
        self._added = 0
        self.counts = np.diff(self._first_cells, append=cells).astype(np.float32)
        self.values: NDArray[np.floating] = np.empty(0)

    def add(self, part: NDArray[np.floating]) -> None:
        """Add the next cells, (…, cells)."""
        if not self._added:
            self.values = np.full((*part.shape[:-1], len(self.counts)), self._start, part.dtype)
        end = self._added + part.shape[-1]
        if self._cells == len(self.counts):  # one in each column, as in a short clip
            self.values[..., self._added : end] = part
        else:
            # The part may begin inside a column, and end inside one.
            first = np.searchsorted(self._first_cells, self._added, side="right") - 1
            last = np.searchsorted(self._first_cells, end)
            places = np.maximum(self._first_cells[first:last] - self._added, 0)
            columns = self._combine.reduceat(part, places, axis=-1)
            self.values[..., first:last] = self._combine(self.values[..., first:last], columns)
        self._added = end


def peaks(waveform: Waveform, columns: int = PEAK_COLUMNS) -> list[float]:
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
    low = Columns(np.minimum, np.inf, len(waveform), columns)
    high = Columns(np.maximum, -np.inf, len(waveform), columns)
    for samples in parts_of(waveform):
        low.add(samples)
        high.add(samples)
    return np.round(np.stack([low.values, high.values], axis=1, dtype=float).ravel(), 3).tolist()
