"""Changes that keep a sound's meaning. All on a whole batch, all from one generator."""

import torch
from torch import Tensor

from training.config import Recipe


def _uniform(low: float, high: float, count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def shift_and_gain(waveform: Tensor, gain_db: float, generator: torch.Generator) -> Tensor:
    """waveform: (batch, samples). A circular shift by any amount, and up to ± `gain_db`."""
    batch, samples = waveform.shape
    shifts = torch.randint(samples, (batch,), generator=generator).tolist()
    shifted = torch.stack([row.roll(shift) for row, shift in zip(waveform, shifts, strict=True)])
    gains = 10 ** (_uniform(-gain_db, gain_db, batch, generator) / 20)
    return shifted * gains[:, None]


def mixup(
    waveform: Tensor, targets: Tensor, recipe: Recipe, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """In a share of the batches, mix each sound with another and its label alike.

    waveform: (batch, samples) · targets: (batch, classes) probabilities.
    """
    if torch.rand(1, generator=generator).item() >= recipe.mixup_share:
        return waveform, targets
    batch = len(waveform)
    # Beta(b, b) from two Gamma draws by way of uniforms, so that one generator decides all.
    shares = _beta(recipe.mixup_beta, batch, generator)[:, None]
    other = torch.randperm(batch, generator=generator)
    return (
        waveform * shares + waveform[other] * (1 - shares),
        targets * shares + targets[other] * (1 - shares),
    )


def _beta(b: float, count: int, generator: torch.Generator) -> Tensor:
    """Jöhnk's method: exact for b < 1, and needs only uniform draws."""
    drawn = torch.empty(0)
    while len(drawn) < count:
        x = torch.rand(4 * count, generator=generator) ** (1 / b)
        y = torch.rand(4 * count, generator=generator) ** (1 / b)
        keep = (x + y <= 1) & (x + y > 0)
        drawn = torch.cat([drawn, (x / (x + y))[keep]])
    return drawn[:count]


def mask(log_mel: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """SpecAugment on normalised log-mel (batch, 1, mels, frames): hidden is the mean, 0."""
    batch, _, mels, frames = log_mel.shape
    hidden = torch.zeros(batch, mels, frames, dtype=torch.bool)
    for _ in range(recipe.masks):
        hidden |= _band(mels, recipe.frequency_mask, batch, generator)[:, :, None]
        hidden |= _band(frames, recipe.time_mask, batch, generator)[:, None, :]
    return log_mel.masked_fill(hidden[:, None].to(log_mel.device), 0.0)


def _band(length: int, widest: int, batch: int, generator: torch.Generator) -> Tensor:
    """(batch, length) bool: one random run of at most `widest` in each row."""
    width = torch.randint(widest + 1, (batch, 1), generator=generator)
    start = (torch.rand(batch, 1, generator=generator) * (length - width + 1)).long()
    place = torch.arange(length)
    return (place >= start) & (place < start + width)
