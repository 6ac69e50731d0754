"""The inside of one window: a ZIP of pictures, and in plain values what is on them.

layer2.maps.png   a sheet of the stage's mean maps, in the order of their names
layer2.top.png    a sheet of the channels that spoke most for the answer
attribution.0.png …  what spoke for the first class of all, the second …
pooled.png        the last stage's means, 32 channels in a row

`classifier/services/map_archive.py` takes them apart. Sheets, because a palette is larger than a
small map.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.explain.activations import Activations
from ml.model import STAGES
from ml.rendering import png

POOLED_COLUMNS = 32


@dataclass(frozen=True, slots=True)
class Pack:
    """data: the ZIP · maps: each mean map · facts: attribution, strongest channels, pooled."""

    data: bytes
    maps: list[dict[str, Any]]
    facts: dict[str, Any]


def pack(activations: Activations, names: Sequence[str]) -> Pack:
    """names: of all classes."""
    pictures: dict[str, bytes] = {}
    maps = []
    for stage in STAGES:
        of_stage = {
            n: m for n, m in activations.maps.items() if n == stage or n.startswith(f"{stage}.")
        }
        # A layer's own map is its last block's: no need to keep it twice.
        kept = [m.mean for n, m in of_stage.items() if n != stage or len(of_stage) == 1]
        sheet = png.sheet(kept)
        pictures[f"{stage}.maps"] = sheet.png
        for number, (name, feature_map) in enumerate(of_stage.items()):
            low, high = sheet.ranges[min(number, len(kept) - 1)]
            maps.append(
                {
                    "name": name,
                    "shape": list(feature_map.mean.shape),
                    "channels": feature_map.channels,
                    "low": round(low, 5),
                    "high": round(high, 5),
                }
            )
    strongest = {}
    for stage, channels in activations.strongest.items():
        sheet = png.sheet([channel.values for channel in channels])
        pictures[f"{stage}.top"] = sheet.png
        strongest[stage] = [
            {
                "number": channel.number,
                "contribution": round(channel.contribution, 4),
                "low": round(low, 4),
                "high": round(high, 4),
            }
            for channel, (low, high) in zip(channels, sheet.ranges, strict=True)
        ]
    attribution = []
    for rank, (number, values) in enumerate(
        zip(activations.classes, activations.attribution, strict=True)
    ):
        pictures[f"attribution.{rank}"] = png.overlay(values)
        logit = round(float(activations.logits[number]), 3)
        attribution.append({"label": names[number], "logit": logit, "shape": list(values.shape)})
    pooled = png.picture(np.flipud(activations.pooled.reshape(-1, POOLED_COLUMNS)))
    pictures["pooled"] = pooled.png
    facts = {
        "attribution": attribution,
        "strongest": strongest,
        "pooled": {
            "shape": [len(activations.pooled) // POOLED_COLUMNS, POOLED_COLUMNS],
            "low": round(pooled.low, 5),
            "high": round(pooled.high, 5),
        },
    }
    return Pack(_zipped(pictures), maps, facts)


def _zipped(pictures: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name, png in pictures.items():
            target.writestr(f"{name}.png", png)
    return buffer.getvalue()
