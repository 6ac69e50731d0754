"""The windows that a mask decoder learns from: clips alone, joined in time and mixed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.augment import crop, gain
from training.data.windows import to_float
from training.draws import uniform
from training.explain.recipe import ExplainRecipe
from training.mixing import by_loudness

# Noise is white or falls with frequency, each sound with its own mixture.
COLOURED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Composed:
    """A batch of windows, each with one or two labelled sounds.

    Attributes
    ----------
    waveforms : (batch, samples) float32
    labels : (batch, 2) int64
        The labels in each window; both are the same in a window of one sound.
    first_until : (batch,) float32
        In a joined window, the share of the window that the first sound takes; the second takes
        the rest. 0 in all other windows.
    """

    waveforms: Tensor
    labels: Tensor
    first_until: Tensor


def compose(
    samples: Tensor,
    labels: Tensor,
    length: int,
    recipe: ExplainRecipe,
    generator: torch.Generator,
) -> Composed:
    """Draw a batch of windows.

    Parameters
    ----------
    samples : (2 batch, samples) int16
        Two sounds for each window, of which only joined and mixed windows use the second.
    labels : (2 batch,) int64
    length : int
        Of the windows, in samples; the louder of two crops where it is shorter than the sounds.
    """
    sounds = gain(crop(to_float(samples), length, generator), recipe.gain_db, generator)
    first, second = sounds.chunk(2)
    names = labels.view(2, -1).T.clone()
    batch = len(first)
    draw = torch.rand(batch, generator=generator)
    joined = draw < recipe.joined_share
    mixed = (draw >= recipe.joined_share) & (draw < recipe.joined_share + recipe.mixed_share)
    until = _boundaries(batch, generator)
    place = (torch.arange(length) + 0.5) / length
    in_time = torch.where(place < until[:, None], first, second)
    loudness = uniform(0.25, 0.75, batch, generator)
    together, _ = by_loudness(first, second, loudness)
    waveforms = torch.where(joined[:, None], in_time, first)
    waveforms = torch.where(mixed[:, None], together, waveforms)
    names[:, 1] = torch.where(joined | mixed, names[:, 1], names[:, 0])
    waveforms = _quieter(waveforms, recipe, generator)
    waveforms = _with_noise(waveforms, recipe, generator)
    return Composed(waveforms.clamp(-1, 1), names, until * joined)


def _boundaries(batch: int, generator: torch.Generator) -> Tensor:
    """Return where joined sounds meet: in the middle for half of them."""
    anywhere = uniform(0.25, 0.75, batch, generator)
    return torch.where(torch.rand(batch, generator=generator) < 0.5, 0.5, anywhere)


def _quieter(waveforms: Tensor, recipe: ExplainRecipe, generator: torch.Generator) -> Tensor:
    """Make a share of the windows quieter, all of the window alike."""
    change_db = -uniform(0, recipe.quiet_db, len(waveforms), generator)
    chosen = torch.rand(len(waveforms), generator=generator) < recipe.quiet_share
    return waveforms * torch.where(chosen, 10 ** (change_db / 20), 1.0)[:, None]


def _with_noise(waveforms: Tensor, recipe: ExplainRecipe, generator: torch.Generator) -> Tensor:
    """Add noise to a share of the windows, white or falling by 3 dB per octave."""
    batch, length = waveforms.shape
    white = torch.randn(batch, length, generator=generator)
    spectrum = torch.fft.rfft(white)
    fall = torch.arange(1, spectrum.shape[1] + 1).rsqrt()
    pink = torch.fft.irfft(spectrum * fall, length)
    coloured = torch.rand(batch, generator=generator) < COLOURED_SHARE
    noise = torch.where(coloured[:, None], pink, white)
    noise = noise / noise.square().mean(1, keepdim=True).sqrt()
    below_db = uniform(recipe.noise_least_db, recipe.noise_most_db, batch, generator)
    level = waveforms.square().mean(1).sqrt() * 10 ** (-below_db / 20)
    chosen = torch.rand(batch, generator=generator) < recipe.noise_share
    return waveforms + noise * (level * chosen)[:, None]
