"""Render arrays as PNGs with one palette, low frequencies at the bottom, one pixel per cell."""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# 33 anchors of matplotlib's magma (CC0); between them a straight line is off by at most 1 in 255.
MAGMA = (
    "000004 030312 0a0822 130d34 1d1147 29115a 36106b 440f76 51127c 5d177f 6a1c81 "
    "762181 832681 902a81 9c2e7f aa337d b73779 c23b75 cf4070 db476a e55064 ee5b5e "
    "f4695c f9785d fb8761 fd9668 fea571 feb47b fec287 fed194 fde0a1 fceeb0 fcfdbf"
)

# Attribution lies over the spectrogram in a hue that magma does not have.
OVERLAY_RGB = (64, 224, 208)
OVERLAY_LEVELS = 16


def _palette() -> bytes:
    anchors = np.array([list(bytes.fromhex(colour)) for colour in MAGMA.split()], dtype=float)
    places = np.linspace(0, 255, len(anchors))
    columns = [np.interp(np.arange(256), places, anchors[:, channel]) for channel in range(3)]
    return np.round(np.stack(columns, axis=1)).astype(np.uint8).tobytes()


PALETTE = _palette()


@dataclass(frozen=True, slots=True)
class Picture:
    """A palette PNG. Index 0 stands for `low`, 255 for `high`, and the scale is linear."""

    png: bytes
    low: float
    high: float


def to_index(
    values: NDArray[np.floating],
    low: float | NDArray[np.floating],
    high: float | NDArray[np.floating],
) -> NDArray[np.uint8]:
    """Map values to palette indices from 0 (`low`) to 255 (`high`). Values outside are clipped.

    Parameters
    ----------
    values : array of any shape
    low, high : float, or arrays that broadcast with `values`
    """
    span = np.where(high > low, np.subtract(high, low), 1.0)
    scaled = (values - low) * (255 / span).astype(values.dtype)
    return np.rint(scaled.clip(0, 255)).astype(np.uint8)


def picture(
    values: NDArray[np.floating], low: float | None = None, high: float | None = None
) -> Picture:
    """Draw an array as a palette PNG.

    Parameters
    ----------
    values : (H, W)
        Row 0 is the lowest frequency. It becomes the bottom row of the picture.
    low, high : float or None
        The values of the first and the last colour; by default the range of `values`.
    """
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    return Picture(_palette_png(np.flipud(to_index(values, low, high))), low, high)


@dataclass(frozen=True, slots=True)
class Sheet:
    """Tiles of equal size in one palette PNG, from left to right and from top to bottom.

    Attributes
    ----------
    png : bytes
    ranges : tuple of (low, high)
        For each tile, the values of palette indices 0 and 255.
    """

    png: bytes
    ranges: tuple[tuple[float, float], ...]


def sheet(tiles: Sequence[NDArray[np.floating]], columns: int = 1) -> Sheet:
    """Draw arrays of equal shape as the tiles of one PNG. Unused tiles of the last row are black.

    Parameters
    ----------
    tiles : sequence of (H, W)
        Row 0 is the lowest frequency.
    columns : int
        Tiles in a row.
    """
    stacked = np.stack(tiles)
    count, height, width = stacked.shape
    low, high = stacked.min(axis=(1, 2)), stacked.max(axis=(1, 2))
    rows = -(-count // columns)
    index = np.zeros((rows * columns, height, width), np.uint8)
    index[:count] = to_index(stacked, low[:, None, None], high[:, None, None])[:, ::-1]
    whole = index.reshape(rows, columns, height, width).swapaxes(1, 2)
    png = _palette_png(whole.reshape(rows * height, columns * width))
    return Sheet(png, tuple(zip(low.tolist(), high.tolist(), strict=True)))


def overlay(values: NDArray[np.floating]) -> bytes:
    """Draw attribution as a PNG in one hue. Opacity rises with the value.

    Parameters
    ----------
    values : (H, W) in [0, 1]
        Row 0 is the lowest frequency.
    """
    levels = np.round(np.clip(values, 0, 1) * (OVERLAY_LEVELS - 1)).astype(np.uint8)
    image = Image.fromarray(np.flipud(levels))
    image.putpalette(bytes(OVERLAY_RGB) * OVERLAY_LEVELS)
    clear = bytes(round(255 * level / (OVERLAY_LEVELS - 1)) for level in range(OVERLAY_LEVELS))
    return encoded(image, transparency=clear, bits=4)


def _palette_png(index: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(index)
    image.putpalette(PALETTE)
    # Spectrograms are noisy: searching for repetitions takes half the time and saves nothing.
    return encoded(image, compress_type=zlib.Z_RLE)


def encoded(image: Image.Image, **options: Any) -> bytes:
    """Encode an image as a PNG. `options` are those of Pillow's writer."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()
