"""Explain the network's output for one window, and show single channels."""

import torch
from torch import Tensor

from ml.checkpoint_info import STAGES
from ml.explain.attribution import both, channel_contributions
from ml.explain.mask_decoder import MaskDecoder
from ml.explain.masking import audible
from ml.explain.refine import refined
from ml.explain.results import (
    GRADIENT,
    MASK_DECODER,
    REFINED,
    SHOWN_CHANNELS,
    Array,
    Channel,
    Channels,
    Explanation,
)
from ml.features import LogMel
from ml.model import AudioCNN, ModelOutput


def explain(
    model: AudioCNN, picture: Tensor, silence: float, asked: int, decoder: MaskDecoder | None
) -> Explanation:
    """Explain the logit of one class in one window.

    Parameters
    ----------
    model : AudioCNN
        In any precision.
    picture : (1, 1, mels, frames), normalised
    silence : float
        The value of a silent cell in `picture`.
    asked : int
        The class.
    decoder : MaskDecoder or None
        Of the model; without one, the attribution is that of gradients.
    """
    classes = torch.tensor([asked], device=picture.device)
    output = _forward(model, picture)
    if decoder is None:
        found, contributions = both(output, silence, classes)
        return _explanation(output, asked, found[0], contributions, GRADIENT)
    mask = _mask(output, model, classes, decoder)
    return _explanation(output, asked, mask, channel_contributions(output, classes), MASK_DECODER)


def explain_refined(
    model: AudioCNN,
    log_mel: LogMel,
    waveform: Tensor,
    asked: int,
    decoder: MaskDecoder | None,
    temperature: float,
) -> Explanation:
    """Explain the logit of one class in one window by a mask that is optimised for this window.

    Parameters
    ----------
    model : AudioCNN
        In any precision.
    waveform : (samples,)
        A whole window.
    asked : int
        The class.
    decoder : MaskDecoder or None
        The optimisation starts from its mask, else from that of the gradients' attribution.
    """
    classes = torch.tensor([asked], device=waveform.device)
    output = _forward(model, log_mel(waveform[None]))
    if decoder is None:
        first = audible(both(output, log_mel.config.silence, classes)[0])[0]
        output = _forward(model, output.picture)
    else:
        first = _mask(output, model, classes, decoder)
    mask = refined(model, log_mel, waveform, first, asked, temperature)
    return _explanation(output, asked, mask, channel_contributions(output, classes), REFINED)


def channels_of(model: AudioCNN, picture: Tensor, name: str, asked: int) -> Channels:
    """Return all channels of one feature map of one window.

    Parameters
    ----------
    model : AudioCNN
        In any precision.
    picture : (1, 1, mels, frames), normalised
    name : str
        Name of the feature map.
    asked : int
        The class for which contributions are computed. They exist for stages only.
    """
    output = _forward(model, picture)
    values = _array(output.maps[name][0])
    if name not in STAGES:
        return Channels(values, None)
    classes = torch.tensor([asked], device=picture.device)
    return Channels(values, _array(channel_contributions(output, classes)[name][0]))


def _forward(model: AudioCNN, picture: Tensor) -> ModelOutput:
    """Run a pass that keeps the gradients of the activations.

    Weights need no gradients, so there is less to compute and nothing to clean up.
    """
    picture = picture.detach().to(model.fc.weight.dtype).requires_grad_()
    with torch.enable_grad():
        return model(picture)


@torch.no_grad()
def _mask(output: ModelOutput, model: AudioCNN, classes: Tensor, decoder: MaskDecoder) -> Tensor:
    """Return the mask (H, W) of the first class."""
    return decoder(output, model.fc, classes[:, None])[0, 0].sigmoid()


def _explanation(
    output: ModelOutput,
    asked: int,
    attribution: Tensor,
    contributions: dict[str, Tensor],
    method: str,
) -> Explanation:
    """Gather an explanation; attribution: (H, W)."""
    return Explanation(
        output.logits[0, asked].item(),
        _array(attribution),
        {name: _strongest(output.maps[name][0], contributions[name][0]) for name in STAGES},
        method,
    )


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
