"""A window's pack of pictures, taken apart: `tasks/map_archive.py` says what lies in it."""

import io
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Facts = dict[str, Any]
_TOP = re.compile(r"(\w+)\.top(\d{1,4})")


def picture(pack: Path, maps: Sequence[Facts], name: str) -> bytes | None:
    """One PNG: a mean map by its name, `layer2.top3` (the fourth of its strongest channels),
    `attribution.0`, `pooled`. None if there is no such picture.

    maps: as the analysis describes them, in the order of their names.
    """
    try:
        with zipfile.ZipFile(pack) as pictures:
            if f"{name}.png" in pictures.namelist():
                return pictures.read(f"{name}.png")
            found = _place(maps, name)
            if found is None:
                return None
            sheet, number, (height, width) = found
            return tile(pictures.read(f"{sheet}.png"), number, height, width)
    except (FileNotFoundError, KeyError):
        return None


def values(pack: Path, maps: Sequence[Facts]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Each mean map's name and its cells, (H, W), row 0 the lowest frequency, as near as 256
    colours tell them."""
    for facts in maps:
        png = picture(pack, maps, facts["name"])
        if png is None:
            raise FileNotFoundError(f"{facts['name']} is not in {pack.name}")
        yield facts["name"], cells(png, facts["low"], facts["high"])


def names(maps: Sequence[Facts], activations: Facts) -> list[str]:
    """What `picture` can be asked for."""
    found = [facts["name"] for facts in maps]
    for stage, channels in activations.get("strongest", {}).items():
        found += [f"{stage}.top{number}" for number in range(len(channels))]
    found += [f"attribution.{rank}" for rank in range(len(activations.get("attribution", ())))]
    return [*found, *(["pooled"] if "pooled" in activations else [])]


def as_zip(pack: Path, maps: Sequence[Facts], activations: Facts) -> bytes:
    """Every picture by its name, and an index.json that says what is on them.

    Without the time of asking: the same result is the same bytes.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name in names(maps, activations):
            png = picture(pack, maps, name)
            if png is not None:
                target.writestr(zipfile.ZipInfo(f"{name}.png"), png)
        index = json.dumps({"maps": list(maps), **activations}, indent=1)
        target.writestr(zipfile.ZipInfo("index.json"), index)
    return buffer.getvalue()


def tile(png: bytes, number: int, height: int, width: int) -> bytes | None:
    """One tile of a sheet as a picture of its own, or None where the sheet has no such tile."""
    image = Image.open(io.BytesIO(png))
    columns = image.width // width
    top, left = number // columns * height, number % columns * width
    if top + height > image.height:
        return None
    buffer = io.BytesIO()
    image.crop((left, top, left + width, top + height)).save(buffer, "PNG")
    return buffer.getvalue()


def cells(png: bytes, low: float, high: float) -> NDArray[np.float64]:
    """A picture's palette undone: (H, W), row 0 the lowest frequency."""
    index = np.flipud(np.asarray(Image.open(io.BytesIO(png))))
    return low + index / 255 * (high - low)


def _place(maps: Sequence[Facts], name: str) -> tuple[str, int, tuple[int, int]] | None:
    """Which sheet a picture lies on, which tile it is, and how large."""
    shapes = {facts["name"]: tuple(facts["shape"]) for facts in maps}
    top = _TOP.fullmatch(name)
    if top and top[1] in shapes:
        return f"{top[1]}.top", int(top[2]), shapes[top[1]]
    if name not in shapes:
        return None
    stage = name.partition(".")[0]
    tiles = [other for other in shapes if other.startswith(f"{stage}.")] or [stage]
    # A layer's own map is its last block's.
    number = tiles.index(name) if name in tiles else len(tiles) - 1
    return f"{stage}.maps", number, shapes[name]
