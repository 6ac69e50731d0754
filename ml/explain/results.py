"""The results of explaining one window, as NumPy arrays. Does not import torch."""

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """The mean of a feature map over its channels.

    Attributes
    ----------
    mean : (H, W) float32
        Row 0 is the lowest frequency.
    channels : int
        How many channels the mean is over.
    """

    mean: Array
    channels: int


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a stage.

    Attributes
    ----------
    values : (H, W) float32
    contribution : float
        How much the channel contributed to the top class, in logits.
    """

    number: int
    values: Array
    contribution: float


@dataclass(frozen=True, slots=True)
class Activations:
    """The activations of one window and their explanation.

    Attributes
    ----------
    logits : (classes,)
    pooled : (512,)
    maps : dict of str to FeatureMap
        By name.
    strongest : dict of str to tuple of Channel
        For each stage, the channels that contributed most to the first class, in falling order.
    classes : tuple of int
        The classes that `attribution` is for.
    attribution : (len(classes), H, W) in [0, 1]
    """

    logits: Array
    pooled: Array
    maps: dict[str, FeatureMap]
    strongest: dict[str, tuple[Channel, ...]]
    classes: tuple[int, ...]
    attribution: Array


@dataclass(frozen=True, slots=True)
class Channels:
    """All channels of one feature map.

    Attributes
    ----------
    values : (channels, H, W) float32
    contributions : (channels,) or None
        How much each channel contributed to the requested class, in units of its logit. None if
        the map is not a stage.
    """

    values: Array
    contributions: Array | None


def all_finite(values: Any) -> bool:
    """Return whether every array and number in the results of a window is finite."""
    if isinstance(values, np.ndarray):
        return bool(np.isfinite(values).all())
    if is_dataclass(values):
        return all(all_finite(getattr(values, field.name)) for field in fields(values))
    if isinstance(values, dict):
        return all(map(all_finite, values.values()))
    if isinstance(values, tuple):
        return all(map(all_finite, values))
    return values is None or math.isfinite(values)
