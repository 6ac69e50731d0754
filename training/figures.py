"""The common style of figures drawn with Matplotlib, and their conversion to pixels.

`Figure` is used directly, without pyplot and its global state, so drawing needs no display.
"""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

DPI = 150
INK, FAINT = "#181428", "#c4c0cc"


def figure(width_in: float, height_in: float, dpi: int = DPI) -> Figure:
    """Return an empty figure whose layout makes room for labels."""
    return Figure((width_in, height_in), dpi=dpi, layout="constrained")


def pixels(drawn: Figure) -> NDArray[np.uint8]:
    """Return the figure as (height, width, 3) uint8."""
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def save(drawn: Figure, path: Path, colours: int = 64) -> None:
    """Write the figure as a PNG with a palette, which is a fraction of the size."""
    Image.fromarray(pixels(drawn)).quantize(colours).save(path, optimize=True)
