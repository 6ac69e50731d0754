"""Mix the sounds of a batch with each other, and their labels with them.

`mix` mixes each sound with at most one other: by loudness, in time or in frequency. All three
change the waveform, so that a student and a teacher hear the same mixture. `mixup` is the plain
mixture that `--recipe original` uses.
"""

import itertools
import math

import torch
from torch import Tensor

from training.config import Recipe
from training.draws import copied, uniform

# Widths of the transition between two sounds: in time as shares of the window, in frequency in
# octaves.
SHORTEST_OVERLAP, LONGEST_OVERLAP = 0.01, 0.5
TRANSITION_OCTAVES = 1 / 3
# The samples per piece over which a level is measured: a tenth of a second at 32 kHz.
LEVEL_SAMPLES = 3200
PRE_EMPHASIS = 0.97


def mix(
    waveform: Tensor,
    targets: Tensor,
    recipe: Recipe,
    sample_rate: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Mix sounds and their targets by the shares of the recipe.

    Parameters
    ----------
    waveform : (batch, samples)
    targets : (batch, classes) probabilities
    recipe : mixup_share, time_mix_share and frequency_mix_share are the shares of the sounds that
        are mixed by loudness, in time and in frequency; the rest stays as it is

    Returns
    -------
    waveform : (batch, samples)
    targets : (batch, classes) probabilities
    """
    batch, device = len(waveform), waveform.device
    other = torch.randperm(batch, generator=generator)
    ratio = torch.rand(batch, generator=generator).clamp(1e-3, 1 - 1e-3)
    overlap = uniform(SHORTEST_OVERLAP, LONGEST_OVERLAP, batch, generator)
    draw = torch.rand(batch, generator=generator)
    mixed, labels = waveform.clone(), targets.clone()
    # Rows are counted on the CPU, because counting them on a GPU would wait for it.
    shares = (0.0, recipe.mixup_share, recipe.time_mix_share, recipe.frequency_mix_share)
    edges = list(itertools.accumulate(shares))
    for way, low, high in zip(("loudness", "time", "frequency"), edges, edges[1:], strict=False):
        rows = ((draw >= low) & (draw < high)).nonzero().flatten()
        if not len(rows):
            continue
        mine, theirs = copied(rows, device), copied(other[rows], device)
        first, second = waveform[mine], waveform[theirs]
        mine_share = copied(ratio[rows], device)
        if way == "loudness":
            sounds, kept = by_loudness(first, second, mine_share)
        elif way == "time":
            sounds, kept = in_time(first, second, mine_share, copied(overlap[rows], device))
        else:
            sounds, kept = in_frequency(first, second, mine_share, sample_rate)
        mixed[mine] = sounds
        labels[mine] = targets[mine] * kept[:, None] + targets[theirs] * (1 - kept[:, None])
    return mixed, labels


def by_loudness(first: Tensor, second: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
    """Mix by the perceived loudness: between-class learning (Tokozume et al., 2018).

    The amplitudes are corrected by the levels of both sounds.

    Parameters
    ----------
    first, second : (batch, samples)
    ratio : (batch,) perceived share of the first sound

    Returns
    -------
    mixed : (batch, samples)
    share : (batch,) share of the first sound's label: `ratio`
    """
    quieter = ((_level(second) + 1e-6) / (_level(first) + 1e-6)).clamp(1 / 30, 30)
    amplitude = (1 / (1 + (1 - ratio) / ratio / quieter))[:, None]
    mixed = first * amplitude + second * (1 - amplitude)
    return mixed / (amplitude**2 + (1 - amplitude) ** 2).sqrt(), ratio


def _level(waveform: Tensor) -> Tensor:
    """Return the RMS (batch,) of the loudest piece of LEVEL_SAMPLES, or of a shorter waveform."""
    length = min(LEVEL_SAMPLES, waveform.shape[1])
    whole = waveform.shape[1] // length * length
    pieces = waveform[:, :whole].unflatten(1, (-1, length))
    return pieces.square().mean(2).max(1).values.sqrt()


def in_time(first: Tensor, second: Tensor, ratio: Tensor, overlap: Tensor) -> tuple[Tensor, Tensor]:
    """Let the second sound follow the first, with a cross-fade between them.

    Parameters
    ----------
    first, second : (batch, samples)
    ratio : (batch,) share of the window before the middle of the cross-fade
    overlap : (batch,) length of the cross-fade as a share of the window

    Returns
    -------
    mixed : (batch, samples)
    share : (batch,) share of the first sound's label. Each sound counts by the part of its energy
        that is left, so that a bark that was faded out does not count.
    """
    samples = first.shape[1]
    place = (torch.arange(samples, device=first.device) + 0.5) / samples
    envelope = (0.5 + (ratio[:, None] - place) / overlap[:, None]).clamp(0, 1)
    faded, risen = first * envelope, second * (1 - envelope)
    left = _part(faded.square().sum(1), first.square().sum(1))
    right = _part(risen.square().sum(1), second.square().sum(1))
    return faded + risen, _share(left, right, ratio)


def in_frequency(
    first: Tensor, second: Tensor, ratio: Tensor, sample_rate: int
) -> tuple[Tensor, Tensor]:
    """Join the low frequencies of the first sound and the high frequencies of the second.

    Parameters
    ----------
    first, second : (batch, samples)
    ratio : (batch,) share of the mel scale, up to half the sample rate, below the crossover

    Returns
    -------
    mixed : (batch, samples)
    share : (batch,) share of the first sound's label. Each sound counts by the part of its energy
        that is left, after a pre-emphasis that balances low and high frequencies.
    """
    samples = first.shape[1]
    bins_hz = torch.fft.rfftfreq(samples, 1 / sample_rate, device=first.device)
    top = math.log1p(sample_rate / 2 / 700)  # of the mel scale 1127 ln(1 + f / 700)
    crossover_hz = 700 * torch.expm1(ratio * top)
    octaves = torch.log2(crossover_hz)[:, None] - torch.log2(bins_hz.clamp_min(1e-3))
    low = (0.5 + octaves / TRANSITION_OCTAVES).clamp(0, 1)
    lows, highs = torch.fft.rfft(first), torch.fft.rfft(second)
    angle = 2 * math.pi * bins_hz / sample_rate
    weight = 1 + PRE_EMPHASIS**2 - 2 * PRE_EMPHASIS * torch.cos(angle)
    power, high_power = lows.abs().square() * weight, highs.abs().square() * weight
    left = _part((power * low.square()).sum(1), power.sum(1))
    right = _part((high_power * (1 - low).square()).sum(1), high_power.sum(1))
    mixed = torch.fft.irfft(lows * low + highs * (1 - low), samples)
    return mixed, _share(left, right, ratio)


def _part(energy: Tensor, whole: Tensor) -> Tensor:
    """Return energy / whole, 0 for silence."""
    return energy / whole.clamp_min(1e-12)


def _share(left: Tensor, right: Tensor, ratio: Tensor) -> Tensor:
    """Return left / (left + right), and `ratio` where nothing is left of either sound."""
    both = left + right
    return torch.where(both > 1e-6, left / both.clamp_min(1e-6), ratio)


def mixup(
    waveform: Tensor, targets: Tensor, recipe: Recipe, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix every sound and its targets with another one, in a share of the batches.

    Parameters
    ----------
    waveform : (batch, samples)
    targets : (batch, classes) probabilities
    recipe : mixup_share is the share of batches that are mixed, mixup_beta the parameter of the
        Beta distribution of the mixing ratio

    Returns
    -------
    waveform : (batch, samples)
    targets : (batch, classes) probabilities
    """
    if torch.rand(1, generator=generator).item() >= recipe.mixup_share:
        return waveform, targets
    batch = len(waveform)
    # Drawn from uniform numbers, so that one generator determines everything.
    shares = copied(_beta(recipe.mixup_beta, batch, generator), waveform.device)[:, None]
    other = copied(torch.randperm(batch, generator=generator), waveform.device)
    return (
        waveform * shares + waveform[other] * (1 - shares),
        targets * shares + targets[other] * (1 - shares),
    )


def _beta(b: float, count: int, generator: torch.Generator) -> Tensor:
    """Draw from Beta(b, b) by Jöhnk's method: exact for b < 1, with uniform draws only."""
    drawn = torch.empty(0)
    while len(drawn) < count:
        x = torch.rand(4 * count, generator=generator) ** (1 / b)
        y = torch.rand(4 * count, generator=generator) ** (1 / b)
        keep = (x + y <= 1) & (x + y > 0)
        drawn = torch.cat([drawn, (x / (x + y))[keep]])
    return drawn[:count]
