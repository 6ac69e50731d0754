"""Explain the network's output for one window by its gradients, and show single channels."""

import torch
from torch import Tensor

from ml.checkpoint_info import STAGES
from ml.explain.attribution import both, channel_contributions
from ml.explain.results import GRADIENT, SHOWN_CHANNELS, Array, Channel, Channels, Explanation
from ml.model import AudioCNN, ModelOutput


def explain(
    model: AudioCNN, picture: Tensor, silence: float, asked: int, precision: torch.dtype
) -> Explanation:
    """Explain the logit of one class in one window.

    Parameters
    ----------
    picture : (1, 1, mels, frames), normalised
    silence : float
        The value of a silent cell in `picture`.
    asked : int
        The class.
    precision : torch.dtype
        Precision of the forward pass.
    """
    output = _forward(model, picture, precision)
    classes = torch.tensor([asked], device=picture.device)
    found, contributions = both(output, silence, classes)
    return Explanation(
        output.logits[0, asked].item(),
        _array(found[0]),
        {name: _strongest(output.maps[name][0], contributions[name][0]) for name in STAGES},
        GRADIENT,
    )


def channels_of(
    model: AudioCNN, picture: Tensor, name: str, asked: int, precision: torch.dtype
) -> Channels:
    """Return all channels of one feature map of one window.

    Parameters
    ----------
    picture : (1, 1, mels, frames), normalised
    name : str
        Name of the feature map.
    asked : int
        The class for which contributions are computed. They exist for stages only.
    precision : torch.dtype
        Precision of the forward pass.
    """
    output = _forward(model, picture, precision)
    values = _array(output.maps[name][0])
    if name not in STAGES:
        return Channels(values, None)
    classes = torch.tensor([asked], device=picture.device)
    return Channels(values, _array(channel_contributions(output, classes)[name][0]))


def _forward(model: AudioCNN, picture: Tensor, precision: torch.dtype) -> ModelOutput:
    """Run a pass that keeps the gradients of the activations.

    Weights need no gradients, so there is less to compute and nothing to clean up.
    """
    picture = picture.detach().requires_grad_()
    with (
        torch.enable_grad(),
        torch.autocast(picture.device.type, precision, enabled=precision != torch.float32),
    ):
        return model(picture)


def _strongest(maps: Tensor, contributions: Tensor) -> tuple[Channel, ...]:
    """Return the channels with the largest contributions, in falling order.

    Parameters
    ----------
    maps : (channels, H, W)
    contributions : (channels,)
    """
    best = contributions.topk(SHOWN_CHANNELS)
    values = _array(maps.detach()[best.indices])
    return tuple(map(Channel, best.indices.tolist(), values, best.values.tolist()))


def _array(values: Tensor) -> Array:
    return values.detach().float().cpu().numpy()
