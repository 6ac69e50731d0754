"""The attribution methods that tools.bench.faithfulness compares.

Parameters
----------
explained : the network, and its mask decoder
output : a forward pass with gradients down to its input picture
classes : (batch, k) int64

Returns
-------
(batch, k, H, W) over the picture; cells with higher values contributed more to the class
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ml.explain.attribution import attribution
from ml.explain.mask_decoder import MaskDecoder
from ml.explain.results import GRADIENT, MASK_DECODER
from ml.model import AudioCNN, ModelOutput

SEED = 1
BLOCKS = (16, 20)  # the grid of the control that takes random blocks
LAYER4_STEP = 32  # bands and frames from one place of layer4 to the next


@dataclass(frozen=True, slots=True)
class Explained:
    """A network and what its explanations need.

    Attributes
    ----------
    silence : value of a silent cell of the picture
    """

    model: AudioCNN
    decoder: MaskDecoder
    silence: float


Draw = Callable[[Explained, ModelOutput, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Method:
    """A way to draw maps.

    Attributes
    ----------
    kind : how a mask is made of a map, see `ml.explain.masking.mask_of`
    """

    draw: Draw
    kind: str = GRADIENT


def mask_decoder(explained: Explained, output: ModelOutput, classes: Tensor) -> Tensor:
    """Return the masks that Sonoscope shows."""
    with torch.no_grad():
        return explained.decoder(output, explained.model.fc, classes).sigmoid()


def gradients(explained: Explained, output: ModelOutput, classes: Tensor) -> Tensor:
    """Return what Sonoscope shows without a decoder: gradient × input × Grad-CAM."""
    return attribution(output, explained.silence, classes)


def gradient_times_input(explained: Explained, output: ModelOutput, classes: Tensor) -> Tensor:
    """Return the positive part of gradient times input; silence counts as 0."""
    found = [
        (gradient * (output.picture - explained.silence)).sum(1).clamp_min(0)
        for (gradient,) in _gradients(output, classes, [output.picture])
    ]
    return torch.stack(found, 1).float()


def grad_cam(explained: Explained, output: ModelOutput, classes: Tensor) -> Tensor:
    """Return the Grad-CAM maps of layer4 (Selvaraju et al., 2017)."""
    last = output.maps["layer4"]
    found = [
        (gradient.mean((2, 3), keepdim=True) * last).sum(1).clamp_min(0)
        for (gradient,) in _gradients(output, classes, [last])
    ]
    return _over(torch.stack(found, 1).detach().float(), output)


def loudest(explained: Explained, output: ModelOutput, classes: Tensor) -> Tensor:
    """Return the loudness, without regard to the class: the baseline of every method."""
    return (output.picture - explained.silence).float().expand(-1, classes.shape[1], -1, -1)


def random_blocks(explained: Explained, output: ModelOutput, classes: Tensor) -> Tensor:
    """Return random values on a coarse grid."""
    generator = torch.Generator().manual_seed(SEED + int(classes.sum()))
    random = torch.rand(*classes.shape, *BLOCKS, generator=generator)
    return F.interpolate(random, output.picture.shape[-2:], mode="nearest")


METHODS: dict[str, Method] = {
    "mask decoder": Method(mask_decoder, MASK_DECODER),
    "gradients, without a decoder": Method(gradients),
    "gradient × input": Method(gradient_times_input),
    "Grad-CAM": Method(grad_cam),
    "the loudest cells": Method(loudest),
    "random blocks": Method(random_blocks),
}


def _gradients(
    output: ModelOutput, classes: Tensor, of: Sequence[Tensor]
) -> list[tuple[Tensor, ...]]:
    """Return the gradients of each asked class's logit."""
    scores = [output.logits.gather(1, asked[:, None]).sum() for asked in classes.T]
    return [torch.autograd.grad(score, list(of), retain_graph=True) for score in scores]


def _over(maps: Tensor, output: ModelOutput) -> Tensor:
    """Resize maps (batch, k, h, w) of layer4 to the picture; place i lies at band or frame 32 i."""
    mels, frames = output.picture.shape[-2:]
    size = [(count - 1) * LAYER4_STEP + 1 for count in maps.shape[2:]]
    exact = F.interpolate(maps, size, mode="bilinear", align_corners=True)
    beyond = (0, max(frames - size[1], 0), 0, max(mels - size[0], 0))
    return F.pad(exact, beyond, mode="replicate")[:, :, :mels, :frames]
