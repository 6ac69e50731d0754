"""What the explanation of one window gives: arrays, without torch."""

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """mean: (H, W) float32, the mean over the map's `channels`. Row 0 is the lowest frequency."""

    mean: Array
    channels: int


@dataclass(frozen=True, slots=True)
class Channel:
    """values: (H, W) float32 · contribution: how much it spoke for the answer, in logits."""

    number: int
    values: Array
    contribution: float


@dataclass(frozen=True, slots=True)
class Activations:
    """What is kept of one window's forward pass.

    logits (classes,) · pooled (512,) · maps by name · strongest: each stage's channels that spoke
    most for the first class, in falling order.
    classes: whose attribution is given · attribution (len(classes), H, W) in [0, 1].
    """

    logits: Array
    pooled: Array
    maps: dict[str, FeatureMap]
    strongest: dict[str, tuple[Channel, ...]]
    classes: tuple[int, ...]
    attribution: Array


@dataclass(frozen=True, slots=True)
class Channels:
    """All channels of one map.

    values: (channels, H, W) float32 · contributions: (channels,), how much each spoke for the class
    that was asked about, in units of its logit; None where the map is no stage.
    """

    values: Array
    contributions: Array | None


def all_finite(values: Any) -> bool:
    """Whether no array or number in these results of one window is NaN or infinite."""
    if isinstance(values, np.ndarray):
        return bool(np.isfinite(values).all())
    if is_dataclass(values):
        return all(all_finite(getattr(values, field.name)) for field in fields(values))
    if isinstance(values, dict):
        return all(map(all_finite, values.values()))
    if isinstance(values, tuple):
        return all(map(all_finite, values))
    return values is None or math.isfinite(values)
