"""Refine the mask of one sound by optimisation, which takes seconds."""

import torch
from torch import Tensor

from ml.explain.masking import Masking
from ml.explain.objective import log_probabilities, roughness
from ml.features import LogMel
from ml.model import AudioCNN

STEPS = 40
LEARNING_RATE = 0.3
# What a larger and a rougher mask cost.
AREA_WEIGHT, ROUGHNESS_WEIGHT = 1.0, 2.0
# A cell of the first mask is never so sure that the optimisation cannot change it.
MIN_CELL = 0.02


def refined(
    model: AudioCNN,
    log_mel: LogMel,
    waveform: Tensor,
    first: Tensor,
    asked: int,
    temperature: float,
    steps: int = STEPS,
) -> Tensor:
    """Return a mask, (H, W), under which the class is kept better, and outside of which less.

    Each step masks the sound as it is played and classifies both parts. The mask with the lowest
    loss is returned: NaN if no loss was finite.

    Parameters
    ----------
    model : AudioCNN
        Without gradients for its weights.
    waveform : (samples,)
        A whole window.
    first : (H, W) in [0, 1]
    asked : int
        The class.
    """
    masking, classes = Masking(log_mel), torch.tensor([asked], device=waveform.device)
    cells = first.clamp(MIN_CELL, 1 - MIN_CELL).logit().clone().requires_grad_()
    optimiser = torch.optim.Adam([cells], lr=LEARNING_RATE, betas=(0.8, 0.95))
    best, lowest = torch.full_like(first, torch.nan), float("inf")
    with torch.enable_grad():
        for _ in range(steps + 1):
            mask = cells.sigmoid()[None]
            split = masking.split(waveform[None], mask)
            pictures = log_mel(torch.cat([split.kept, split.rest]))
            pictures = pictures.to(model.fc.weight.dtype)
            logits = model(pictures.contiguous(memory_format=torch.channels_last)).logits
            part, rest = (logits.float() / temperature).chunk(2)
            loss = -log_probabilities(part, classes)[0] - log_probabilities(rest, classes)[1]
            loss = loss + AREA_WEIGHT * mask.mean() + ROUGHNESS_WEIGHT * roughness(mask)
            if loss.item() < lowest:
                best, lowest = mask[0].detach().clone(), loss.item()
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
    return best
