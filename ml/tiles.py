"""The tiles of a spectrogram: parts with narrower columns than the picture of the whole clip.

No NumPy and no torch: the pages use it as well as the workers.
"""

from dataclasses import dataclass

TILE_COLUMNS = 4096
# Frames in one column of a tile, by level.
LEVELS = {"medium": 16, "fine": 1}
# A level whose columns are hardly narrower than those of the whole picture would show nothing new.
MIN_GAIN = 2


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a spectrogram.

    Attributes
    ----------
    first : int
        Its first frame.
    frames : int
    columns : int
        Columns of its picture.
    """

    first: int
    frames: int
    columns: int


def levels(frames: int, shown_columns: int) -> dict[str, int]:
    """Return the levels of a clip with the number of tiles of each, the coarsest first.

    Parameters
    ----------
    frames : int
        Frames of the spectrogram.
    shown_columns : int
        Columns of the picture of the whole clip.
    """
    return {
        name: -(-frames // (TILE_COLUMNS * step))
        for name, step in LEVELS.items()
        if frames >= MIN_GAIN * step * shown_columns
    }


def tile(frames: int, level: str, number: int) -> Tile:
    """Return a tile of a clip with `frames` frames.

    Parameters
    ----------
    level : str
        One of `LEVELS`.
    number : int
        From 0, in the order of time.
    """
    step = LEVELS[level]
    first = number * TILE_COLUMNS * step
    its_frames = min(TILE_COLUMNS * step, frames - first)
    return Tile(first, its_frames, -(-its_frames // step))
