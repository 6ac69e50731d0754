"""Run the network on windows and collect its activations."""

import torch
from torch import Tensor

from ml.checkpoint_info import STAGES
from ml.explain.attribution import attribution, channel_contributions
from ml.explain.results import Activations, Array, Channel, Channels, FeatureMap
from ml.model import AudioCNN, ModelOutput

# Classes whose attribution is drawn, and channels of each stage that are shown at once.
SHOWN_CLASSES = 5
SHOWN_CHANNELS = 8


def explain(
    model: AudioCNN, pictures: Tensor, silence: float, classes: Tensor, precision: torch.dtype
) -> list[Activations]:
    """Return the activations of each window.

    Parameters
    ----------
    pictures : (batch, 1, mels, frames), normalised
    silence : float
        The value of a silent cell in `pictures`.
    classes : (batch, k) int
        The classes to attribute. Channels are ranked by their contribution to the first.
    precision : torch.dtype
        Precision of the forward pass.

    Returns
    -------
    list of Activations
        One per window.
    """
    output = _forward(model, pictures, precision)
    found = _array(attribution(output, silence, classes))
    contributions = channel_contributions(output, classes[:, 0])
    means = {name: _array(value.float().mean(1)) for name, value in output.maps.items()}
    logits, pooled = _array(output.logits), _array(output.pooled)
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
    """Return all channels of one feature map for each window.

    Parameters
    ----------
    pictures : (batch, 1, mels, frames), normalised
    name : str
        Name of the feature map.
    classes : (batch,) int
        The class for which contributions are computed. They exist for stages only.
    precision : torch.dtype
        Precision of the forward pass.

    Returns
    -------
    list of Channels
        One per window.
    """
    output = _forward(model, pictures, precision)
    values = _array(output.maps[name])
    if name not in STAGES:
        return [Channels(row, None) for row in values]
    contributions = _array(channel_contributions(output, classes)[name])
    return [Channels(row, its) for row, its in zip(values, contributions, strict=True)]


def _forward(model: AudioCNN, pictures: Tensor, precision: torch.dtype) -> ModelOutput:
    """Run a pass that keeps the gradients of the activations.

    Weights need no gradients, so there is less to compute and nothing to clean up.
    """
    pictures = pictures.detach().requires_grad_()
    with (
        torch.enable_grad(),
        torch.autocast(pictures.device.type, precision, enabled=precision != torch.float32),
    ):
        return model(pictures)


def _strongest(maps: Tensor, contributions: Tensor) -> tuple[Channel, ...]:
    """Return the channels with the largest contributions, in falling order.

    Parameters
    ----------
    maps : (channels, H, W)
    contributions : (channels,)
    """
    best = contributions.topk(min(SHOWN_CHANNELS, len(contributions)))
    values = _array(maps.detach()[best.indices])
    return tuple(map(Channel, best.indices.tolist(), values, best.values.tolist()))


def _array(values: Tensor) -> Array:
    return values.detach().float().cpu().numpy()
