"""One window, looked into: everything that the pictures of the network show."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.explain.attribution import attribution, channel_contributions
from ml.model import STAGES, AudioCNN, ModelOutput

Array = NDArray[np.float32]

# Classes whose attribution is drawn, and channels of each stage that are shown at once.
SHOWN_CLASSES = 5
SHOWN_CHANNELS = 8


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """mean: (H, W) float32, the mean over the map's `channels`. Row 0 is the lowest frequency."""

    mean: Array
    channels: int


@dataclass(frozen=True, slots=True)
class Channel:
    """values: (H, W) float32 · contribution: of the channel to the logit of the answer."""

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

    values: (channels, H, W) float32 · contributions: (channels,), of each to the logit of the class
    that was asked about; None where the map is no stage.
    """

    values: Array
    contributions: Array | None


def all_finite(row: Array | Activations | Channels) -> bool:
    """Whether nothing in the row of one window is NaN or infinite."""
    if isinstance(row, Activations):
        shown = [channel for channels in row.strongest.values() for channel in channels]
        arrays = [row.logits, row.pooled, row.attribution]
        arrays += [one.mean for one in row.maps.values()]
        arrays += [channel.values for channel in shown]
        arrays.append(np.array([channel.contribution for channel in shown]))
    elif isinstance(row, Channels):
        arrays = [row.values] if row.contributions is None else [row.values, row.contributions]
    else:
        arrays = [row]
    return all(bool(np.isfinite(array).all()) for array in arrays)


def explain(
    model: AudioCNN, pictures: Tensor, silence: float, classes: Tensor, precision: torch.dtype
) -> list[Activations]:
    """pictures: (batch, 1, mels, frames), normalised · silence: a silent cell's value in them ·
    classes: (batch, k) class numbers."""
    output = _forward(model, pictures, precision)
    found = attribution(output, silence, classes).cpu().numpy()
    contributions = channel_contributions(output, classes[:, 0])
    means = {
        name: value.detach().float().mean(1).cpu().numpy() for name, value in output.maps.items()
    }
    logits = output.logits.detach().float().cpu().numpy()
    pooled = output.pooled.detach().float().cpu().numpy()
    return [
        Activations(
            logits[row],
            pooled[row],
            {
                name: FeatureMap(mean[row], output.maps[name].shape[1])
                for name, mean in means.items()
            },
            {name: _strongest(output.maps[name][row], contributions[name][row]) for name in STAGES},
            tuple(classes[row].tolist()),
            found[row],
        )
        for row in range(len(pictures))
    ]


def channels_of(
    model: AudioCNN, pictures: Tensor, name: str, classes: Tensor, precision: torch.dtype
) -> list[Channels]:
    """pictures: (batch, 1, mels, frames), normalised · name: of the map · classes: (batch,)"""
    output = _forward(model, pictures, precision)
    values = output.maps[name].detach().float().cpu().numpy()
    if name not in STAGES:
        return [Channels(row, None) for row in values]
    contributions = channel_contributions(output, classes)[name].cpu().numpy()
    return [Channels(row, its) for row, its in zip(values, contributions, strict=True)]


def _forward(model: AudioCNN, pictures: Tensor, precision: torch.dtype) -> ModelOutput:
    """A pass with gradients: only activations are derived, never weights, so that there is less
    to compute and nothing to clean up."""
    pictures = pictures.detach().requires_grad_()
    with (
        torch.enable_grad(),
        torch.autocast(pictures.device.type, precision, enabled=precision != torch.float32),
    ):
        return model(pictures)


def _strongest(maps: Tensor, contributions: Tensor) -> tuple[Channel, ...]:
    """maps: (channels, H, W) · spoken: (channels,)"""
    best = contributions.topk(min(SHOWN_CHANNELS, len(contributions)))
    values = maps.detach()[best.indices].float().cpu().numpy()
    numbers, amounts = best.indices.tolist(), best.values.tolist()
    return tuple(map(Channel, numbers, values, amounts))
