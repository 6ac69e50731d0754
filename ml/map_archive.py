"""Map archives: ZIPs with the pictures of one window. Written by workers, read by the pages.

Of an analysis and of another window:

layer2.maps.png   a sheet of the stage's mean maps, one below the other, in the order of
                  `_maps_on_sheet`
pooled.png        the means of the last stage's channels, 32 channels in a row

Of the explanation of a class:

attribution.png   the mask that splits the sound: the more opaque a cell, the more of it belongs
                  to the part on which the class is based
layer2.top.png    a sheet of the stage's channels that contributed most to the class

The maps are stored on sheets because the palette of a PNG is larger than a small map.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.checkpoint_info import CHANNELS, STAGES, map_names
from ml.explain.results import SHOWN_CHANNELS, Activations, Array, Explanation
from ml.render_metadata import (
    ArchiveIndex,
    ChannelInfo,
    ExplanationIndex,
    LogitInfo,
    MapInfo,
    PooledInfo,
)
from ml.rendering import png

POOLED_COLUMNS = 32
SHOWN_LOGITS = 5
_TOP = re.compile(r"(\w+)\.top(\d{1,4})")


def _maps_on_sheet(stage: str) -> list[str]:
    """Return a stage's maps in order. A layer's own map equals its last block's: stored once."""
    return [name for name in map_names() if name.startswith(f"{stage}.")] or [stage]


# --- writing ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MapArchive:
    """A map archive and its index.

    Attributes
    ----------
    data : bytes
        The ZIP.
    """

    data: bytes
    index: ArchiveIndex


@dataclass(frozen=True, slots=True)
class ExplanationArchive:
    """The archive of an explanation and its index.

    Attributes
    ----------
    data : bytes
        The ZIP.
    """

    data: bytes
    index: ExplanationIndex


def pack(activations: Activations, probabilities: Array, classes: Sequence[str]) -> MapArchive:
    """Draw the activations of a window and pack the pictures.

    Parameters
    ----------
    probabilities : (classes,)
        Of the window.
    classes : sequence of str
        The names of all classes of the checkpoint, by number.
    """
    pictures: dict[str, bytes] = {}
    maps = [info for stage in STAGES for info in _pack_maps(activations, stage, pictures)]
    rows = activations.pooled.reshape(-1, POOLED_COLUMNS)
    drawn = png.picture(np.flipud(rows))
    pictures["pooled"] = drawn.png
    pooled = PooledInfo(_shape(rows), round(drawn.low, 5), round(drawn.high, 5))
    best = np.argsort(-activations.logits, kind="stable")[:SHOWN_LOGITS]
    logits = tuple(
        LogitInfo(
            classes[n], round(float(activations.logits[n]), 3), round(float(probabilities[n]), 6)
        )
        for n in best
    )
    return MapArchive(_zipped(pictures), ArchiveIndex(tuple(maps), pooled, logits))


def pack_explanation(explanation: Explanation, mask: Array) -> ExplanationArchive:
    """Draw the explanation of a class and pack the pictures.

    Parameters
    ----------
    mask : (H, W) in [0, 1]
        The mask that was made from the attribution.
    """
    pictures = {"attribution": png.overlay(mask)}
    strongest = {}
    for stage, channels in explanation.strongest.items():
        sheet = png.sheet([channel.values for channel in channels])
        pictures[f"{stage}.top"] = sheet.png
        strongest[stage] = tuple(
            ChannelInfo(one.number, round(one.contribution, 4), round(low, 4), round(high, 4))
            for one, (low, high) in zip(channels, sheet.ranges, strict=True)
        )
    shape = _shape(mask)
    index = ExplanationIndex(round(explanation.logit, 3), shape, strongest)
    return ExplanationArchive(_zipped(pictures), index)


def _pack_maps(
    activations: Activations, stage: str, pictures: dict[str, bytes]
) -> Iterator[MapInfo]:
    on_sheet = _maps_on_sheet(stage)
    sheet = png.sheet([activations.maps[name] for name in on_sheet])
    pictures[f"{stage}.maps"] = sheet.png
    ranges = dict(zip(on_sheet, sheet.ranges, strict=True))
    for name in dict.fromkeys([*on_sheet, stage]):
        low, high = ranges.get(name, sheet.ranges[-1])
        shape = _shape(activations.maps[name])
        yield MapInfo(name, shape, CHANNELS[stage], round(low, 5), round(high, 5))


def _shape(values: Array) -> tuple[int, int]:
    height, width = values.shape
    return height, width


def _zipped(pictures: Mapping[str, bytes]) -> bytes:
    """Pack pictures by name."""
    return _zip({f"{name}.png": data for name, data in pictures.items()})


def _zip(files: Mapping[str, bytes]) -> bytes:
    """Pack files without timestamps, so that the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name, data in files.items():
            target.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


# --- reading ------------------------------------------------------------------------------


def picture(archive: Path, name: str) -> bytes | None:
    """Read one picture of an archive.

    Parameters
    ----------
    name : str
        The name of a mean map or `pooled`; of an explanation, `attribution` or `layer2.top3` (the
        fourth of its strongest channels).

    Returns
    -------
    bytes or None
        A PNG, or None if there is no such picture.
    """
    try:
        with zipfile.ZipFile(archive) as pictures:
            if f"{name}.png" in pictures.namelist():
                return pictures.read(f"{name}.png")
            return _tile(pictures, name)
    except (FileNotFoundError, KeyError):
        return None


def map_values(archive: Path, index: ArchiveIndex) -> dict[str, NDArray[np.float64]]:
    """Return the values of each mean map, quantised to the 256 colours of its picture.

    Returns
    -------
    dict of str to (H, W)
        By name; row 0 is the lowest frequency.

    Raises
    ------
    FileNotFoundError
        If the archive or one of its pictures is missing.
    """
    found = {}
    for one in index.maps:
        if (data := picture(archive, one.name)) is None:
            raise FileNotFoundError(f"{one.name} is not in {archive.name}")
        found[one.name] = cells(data, one.low, one.high)
    return found


def as_zip(archive: Path, index: ArchiveIndex | ExplanationIndex) -> bytes:
    """Return a ZIP with every picture under its own name, and an index.json that describes them."""
    found = {f"{name}.png": picture(archive, name) for name in index.picture_names()}
    files = {name: data for name, data in found.items() if data is not None}
    return _zip(files | {"index.json": json.dumps(asdict(index), indent=1).encode()})


def cells(data: bytes, low: float, high: float) -> NDArray[np.float64]:
    """Return the values of a palette PNG.

    Parameters
    ----------
    data : bytes
        The PNG.
    low, high : float
        The values of palette indices 0 and 255.

    Returns
    -------
    NDArray
        (H, W); row 0 is the lowest frequency.
    """
    index = np.flipud(np.asarray(Image.open(io.BytesIO(data))))
    return low + index / 255 * (high - low)


def _tile(pictures: zipfile.ZipFile, name: str) -> bytes | None:
    """Cut one tile from a sheet. Raise KeyError if there is no such sheet."""
    if top := _TOP.fullmatch(name):
        sheet, tiles, number = f"{top[1]}.top", SHOWN_CHANNELS, int(top[2])
    elif name in map_names():
        stage = name.partition(".")[0]
        on_sheet = _maps_on_sheet(stage)
        sheet, tiles = f"{stage}.maps", len(on_sheet)
        number = on_sheet.index(name) if name in on_sheet else tiles - 1
    else:
        return None
    image = Image.open(io.BytesIO(pictures.read(f"{sheet}.png")))
    height = image.height // tiles
    if number >= tiles:
        return None
    return png.encoded(image.crop((0, number * height, image.width, (number + 1) * height)))
