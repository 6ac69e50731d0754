"""What can be shown of one forward pass."""

import torch
from torch import Tensor


def channel_means(maps: dict[str, Tensor]) -> dict[str, Tensor]:
    """name → (batch, channels, H, W) becomes name → (batch, H, W) float32."""
    return {name: value.float().mean(dim=1) for name, value in maps.items()}


def class_activation(fc_weight: Tensor, last_maps: Tensor) -> Tensor:
    """How much each place of the last stage spoke for each class (Zhou et al., 2016).

    fc_weight: (classes, channels) · last_maps: (batch, channels, H, W).
    Returns (batch, classes, H, W); the mean over H, W plus the bias is the class' logit.
    """
    return torch.einsum("kc,bchw->bkhw", fc_weight.float(), last_maps.float())
