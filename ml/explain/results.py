"""The activations of one window and their explanation, as NumPy arrays. Without torch."""

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


# How an attribution was found.
MASK_DECODER, GRADIENT, REFINED = "mask_decoder", "gradient", "refined"
# Channels of each stage in an explanation.
SHOWN_CHANNELS = 8


@dataclass(frozen=True, slots=True)
class Activations:
    """The activations of one window.

    Attributes
    ----------
    logits : (classes,)
    pooled : (512,)
    maps : dict of str to (H, W)
        The mean of each feature map over its channels, by name, in the order of the data flow.
        Row 0 is the lowest frequency. Empty if the maps were not asked for.
    """

    logits: Array
    pooled: Array
    maps: dict[str, Array]

    def copy(self) -> "Activations":
        maps = {name: mean.copy() for name, mean in self.maps.items()}
        return Activations(self.logits.copy(), self.pooled.copy(), maps)


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a stage.

    Attributes
    ----------
    values : (H, W) float32
    contribution : float
        How much the channel contributed to the explained class, in logits.
    """

    number: int
    values: Array
    contribution: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the network gave one class its logit in one window.

    Attributes
    ----------
    logit : float
        Of the class.
    attribution : (H, W) in [0, 1]
        How much each cell of the spectrogram contributed to the class. Of a mask, which part of
        the cell's amplitude is kept.
    strongest : dict of str to tuple of Channel
        For each stage, the channels that contributed most to the class, in falling order.
    method : {"mask_decoder", "gradient", "refined"}
        How the attribution was found; see docs/explanations.md.
    """

    logit: float
    attribution: Array
    strongest: dict[str, tuple[Channel, ...]]
    method: str


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
    return values is None or isinstance(values, str) or math.isfinite(values)
