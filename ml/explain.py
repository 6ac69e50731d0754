"""What spoke for an answer, and where."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ml.model import STAGES, Heard

# The stages whose class activations are laid over one another; the first gives the grid.
EVIDENCE_STAGES = ("layer2", "layer3", "layer4")


def evidence(heard: Heard, classes: Tensor, stages: Sequence[str] = EVIDENCE_STAGES) -> Tensor:
    """How much each place spoke for each of those classes: LayerCAM (Jiang et al., 2021).

    heard: of a pass with gradients · classes: (batch, k) class numbers.
    Returns (batch, k, H, W) float32 in [0, 1], with H and W of the first stage.
    """
    maps = [heard.maps[stage] for stage in stages]
    size = maps[0].shape[-2:]
    found = []
    for column in classes.T:
        score = heard.logits.gather(1, column[:, None]).sum()
        gradients = torch.autograd.grad(score, maps, retain_graph=True)
        laid = [
            _resized(_scaled((gradient.clamp_min(0) * value).detach().float().sum(1)), size)
            for gradient, value in zip(gradients, maps, strict=True)
        ]
        found.append(torch.stack(laid).amax(0))
    return torch.stack(found, dim=1)


def shares(heard: Heard, classes: Tensor) -> dict[str, Tensor]:
    """stage → (batch, channels): activation times gradient of that class' logit, over the map.

    heard: of a pass with gradients · classes: (batch,) class numbers.
    """
    maps = [heard.maps[stage] for stage in STAGES]
    score = heard.logits.gather(1, classes[:, None]).sum()
    gradients = torch.autograd.grad(score, maps, retain_graph=True)
    return {
        stage: (gradient * value).detach().float().sum((2, 3))
        for stage, gradient, value in zip(STAGES, gradients, maps, strict=True)
    }


def _scaled(maps: Tensor) -> Tensor:
    """(batch, H, W), none negative, each to a largest cell of 1; all zeros stay so."""
    largest = maps.amax((1, 2), keepdim=True)
    return maps / largest.clamp_min(torch.finfo(maps.dtype).tiny)


def _resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    if maps.shape[-2:] == torch.Size(size):
        return maps
    return F.interpolate(maps[:, None], tuple(size), mode="bilinear", align_corners=False)[:, 0]
