"""The attribution methods that tools.bench.faithfulness compares.

Parameters
----------
output : a forward pass with gradients down to its input picture
silence : value of a silent cell of the picture
classes : (batch,) int64, one class per row

Returns
-------
(batch, H, W) over the picture; cells with higher values contributed more to the class
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ml.explain.attribution import attribution
from ml.model import ModelOutput

Method = Callable[[ModelOutput, float, Tensor], Tensor]
CELL = {"layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}  # bands and frames from one to next


def chosen(output: ModelOutput, silence: float, classes: Tensor) -> Tensor:
    """Return the attribution that Sonoscope shows."""
    return attribution(output, silence, classes[:, None])[:, 0]


def gradient_times_input(output: ModelOutput, silence: float, classes: Tensor) -> Tensor:
    """Return the positive part of gradient times input; silence counts as 0."""
    (gradient,) = _gradients(output, classes, [output.picture])
    return (gradient * (output.picture - silence)).sum(1).clamp_min(0)


def layer_cam_maximum(output: ModelOutput, silence: float, classes: Tensor) -> Tensor:
    """Return the maximum of the LayerCAM maps of layer2 to layer4."""
    maps = _layer_cam(output, classes, ["layer2", "layer3", "layer4"])
    return torch.stack([_by_largest(_over(one, output, s)) for s, one in maps.items()]).amax(0)


def layer_cam_product(output: ModelOutput, silence: float, classes: Tensor) -> Tensor:
    """Return the product of the LayerCAM maps of layer1 to layer4."""
    maps = _layer_cam(output, classes, list(CELL))
    return torch.stack([_by_largest(_over(one, output, s)) for s, one in maps.items()]).prod(0)


def loudest(output: ModelOutput, silence: float, classes: Tensor) -> Tensor:
    """Return the loudness, without regard to the class: the baseline of every method."""
    return (output.picture - silence)[:, 0]


METHODS: dict[str, Method] = {
    "attribution": chosen,
    "gradient times input": gradient_times_input,
    "LayerCAM, product of 1 to 4": layer_cam_product,
    "LayerCAM, maximum of 2 to 4": layer_cam_maximum,
    "the loudest cells": loudest,
}


def _gradients(output: ModelOutput, classes: Tensor, of: Sequence[Tensor]) -> tuple[Tensor, ...]:
    score = output.logits.gather(1, classes[:, None]).sum()
    return torch.autograd.grad(score, list(of), retain_graph=True)


def _layer_cam(output: ModelOutput, classes: Tensor, stages: Sequence[str]) -> dict[str, Tensor]:
    """Return the LayerCAM map (batch, h, w) of each stage (Jiang et al., 2021)."""
    maps = [output.maps[stage] for stage in stages]
    gradients = _gradients(output, classes, maps)
    return {
        stage: (gradient.clamp_min(0) * value).float().sum(1)
        for stage, gradient, value in zip(stages, gradients, maps, strict=True)
    }


def _over(maps: Tensor, output: ModelOutput, stage: str) -> Tensor:
    """Resize a stage's maps (batch, h, w) to (batch, mels, frames).

    Cell i of a stage lies at band or frame i × CELL.
    """
    mels, frames = output.picture.shape[-2:]
    size = [(count - 1) * CELL[stage] + 1 for count in maps.shape[1:]]
    exact = F.interpolate(maps[:, None], size, mode="bilinear", align_corners=True)
    beyond = (0, max(frames - size[1], 0), 0, max(mels - size[0], 0))
    return F.pad(exact, beyond, mode="replicate")[:, 0, :mels, :frames]


def _by_largest(maps: Tensor) -> Tensor:
    return maps / maps.amax((1, 2), keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)
