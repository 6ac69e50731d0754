"""Arrays → PNG. One palette, low frequencies at the bottom, one pixel per cell."""

import io
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
    """A palette PNG. Palette index 0 stands for `low`, 255 for `high`, evenly between."""

    png: bytes
    low: float
    high: float


def to_index(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint8]:
    """Cells → palette index 0 to 255; values outside [low, high] are held at the ends."""
    span = high - low if high > low else 1.0
    return np.round(np.clip((values - low) / span, 0, 1) * 255).astype(np.uint8)


def picture(
    values: NDArray[np.floating], low: float | None = None, high: float | None = None
) -> Picture:
    """values: (H, W), row 0 the lowest frequency. It becomes the picture's bottom row."""
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    return Picture(_palette_png(np.flipud(to_index(values, low, high))), low, high)


@dataclass(frozen=True, slots=True)
class Sheet:
    """Tiles of equal size in one palette PNG, from left to right and from top to bottom.

    Palette index 0 stands for each tile's own low, 255 for its high: `ranges` in the same order.
    """

    png: bytes
    ranges: tuple[tuple[float, float], ...]


def sheet(tiles: Sequence[NDArray[np.floating]], columns: int = 1) -> Sheet:
    """tiles: (H, W) each, row 0 the lowest frequency. What is left of the last row is black."""
    height, width = tiles[0].shape
    rows = -(-len(tiles) // columns)
    whole = np.zeros((rows * height, columns * width), np.uint8)
    ranges = []
    for number, tile in enumerate(tiles):
        low, high = float(tile.min()), float(tile.max())
        top, left = number // columns * height, number % columns * width
        whole[top : top + height, left : left + width] = np.flipud(to_index(tile, low, high))
        ranges.append((low, high))
    return Sheet(_palette_png(whole), tuple(ranges))


def overlay(values: NDArray[np.floating]) -> bytes:
    """(H, W) in [0, 1], row 0 the lowest frequency → a PNG in one hue, the clearer the more."""
    levels = np.round(np.clip(values, 0, 1) * (OVERLAY_LEVELS - 1)).astype(np.uint8)
    image = Image.fromarray(np.flipud(levels))
    image.putpalette(bytes(OVERLAY_RGB) * OVERLAY_LEVELS)
    clear = bytes(round(255 * level / (OVERLAY_LEVELS - 1)) for level in range(OVERLAY_LEVELS))
    return encoded(image, transparency=clear, bits=4)


def _palette_png(index: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(index)
    image.putpalette(PALETTE)
    return encoded(image, compress_level=6)


def encoded(image: Image.Image, **options: Any) -> bytes:
    """A PNG. options: of Pillow's writer."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()
