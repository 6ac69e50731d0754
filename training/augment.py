"""Data augmentation that keeps a sound's label: every function changes a whole batch.

All random numbers come from one generator on the CPU; only the drawn values are copied to the
device of the sounds.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ml.features import LogMel
from training.config import Recipe


def augmented(
    waveform: Tensor,
    targets: Tensor,
    recipe: Recipe,
    log_mel: LogMel,
    progress: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Augment a batch by the recipe and return its log-mel spectrograms and targets.

    Parameters
    ----------
    waveform : (batch, samples) float32 in [-1, 1] at log_mel.config.sample_rate Hz
    targets : (batch, classes) probabilities
    progress : share of the training that is completed, 0 to 1

    Returns
    -------
    picture : (batch, 1, mels, frames) normalised log-mel spectrograms
    targets : (batch, classes) probabilities, mixed where sounds were mixed
    """
    rate = log_mel.config.sample_rate
    waveform, targets = augmented_waveform(waveform, targets, recipe, rate, progress, generator)
    return augmented_picture(waveform, recipe, log_mel, generator), targets


def augmented_waveform(
    waveform: Tensor,
    targets: Tensor,
    recipe: Recipe,
    sample_rate: int,
    progress: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Apply the augmentations of waveforms: the parameters of `augmented`, except the log-mel.

    Returns
    -------
    waveform : (batch, samples), shorter where the recipe crops
    targets : (batch, classes) probabilities, mixed where sounds were mixed
    """
    if recipe.shift:
        waveform = shift(waveform, generator)
    if recipe.gain_db:
        waveform = gain(waveform, recipe.gain_db, generator)
    if progress < recipe.crop_share:
        waveform = crop(waveform, int(recipe.crop_s * sample_rate), generator)
    if recipe.speed:
        waveform = change_speed(waveform, recipe.speed, generator)
    if recipe.mixup_share and recipe.between_class:
        waveform, targets = between_class(waveform, targets, recipe.mixup_share, generator)
    elif recipe.mixup_share:
        waveform, targets = mixup(waveform, targets, recipe, generator)
    return waveform, targets


def augmented_picture(
    waveform: Tensor, recipe: Recipe, log_mel: LogMel, generator: torch.Generator
) -> Tensor:
    """Return the augmented log-mel spectrograms (batch, 1, mels, frames) of a waveform."""
    picture = log_mel(waveform)
    if recipe.colour_db:
        picture = colour(picture, recipe.colour_db / log_mel.config.deviation_db, generator)
    if recipe.masks:
        picture = mask(picture, recipe, generator)
    return picture


def _uniform(low: float, high: float, count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


# --- on waveforms -------------------------------------------------------------------------


def shift(waveform: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each sound circularly by a random number of samples.

    Parameters
    ----------
    waveform : (batch, samples)

    Returns
    -------
    (batch, samples)
    """
    batch, samples = waveform.shape
    shifts = torch.randint(samples, (batch,), generator=generator).tolist()
    return torch.stack([row.roll(places) for row, places in zip(waveform, shifts, strict=True)])


def gain(waveform: Tensor, most_db: float, generator: torch.Generator) -> Tensor:
    """Make each sound louder or quieter by a random gain.

    Parameters
    ----------
    waveform : (batch, samples)
    most_db : largest change in dB, up or down

    Returns
    -------
    (batch, samples)
    """
    gains = 10 ** (_uniform(-most_db, most_db, len(waveform), generator) / 20)
    return waveform * gains.to(waveform.device)[:, None]


def crop(waveform: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    """Crop each sound to the louder of two random pieces, read circularly.

    Many clips are a short sound followed by silence: a single random crop would often contain
    only silence under the clip's label.

    Parameters
    ----------
    waveform : (batch, n)
    samples : length of the crop

    Returns
    -------
    (batch, samples)
    """
    batch, length = waveform.shape
    starts = torch.randint(length, (2, batch), generator=generator).tolist()
    first, second = (
        torch.stack([row.roll(-start)[:samples] for row, start in zip(waveform, at, strict=True)])
        for at in starts
    )
    louder = first.square().sum(1) >= second.square().sum(1)
    return torch.where(louder[:, None], first, second)


def change_speed(waveform: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Play each sound faster or slower at a random rate, which changes its pitch too.

    Uses linear interpolation and reads circularly, which is accurate enough for an augmentation.

    Parameters
    ----------
    waveform : (batch, samples)
    most : largest change of the rate, 0.1 for 10 %

    Returns
    -------
    (batch, samples)
    """
    samples = waveform.shape[1]
    rates = torch.exp(_uniform(-1, 1, len(waveform), generator) * math.log1p(most)).tolist()
    played = []
    for row, rate in zip(waveform, rates, strict=True):
        read = round(samples * rate)
        circular = torch.cat([row, row[: max(0, read - samples)]])[None, None, :read]
        played.append(F.interpolate(circular, samples, mode="linear", align_corners=True)[0, 0])
    return torch.stack(played)


def between_class(
    waveform: Tensor, targets: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix pairs of sounds by their loudness: between-class learning (Tokozume et al., 2018).

    A ratio r ~ U(0, 1) is the perceived share of the first sound: the amplitudes are corrected
    by the levels of both sounds, and the targets are mixed with r itself.

    Parameters
    ----------
    waveform : (batch, samples)
    targets : (batch, classes) probabilities
    share : share of the batch that is mixed, 0 to 1

    Returns
    -------
    waveform : (batch, samples)
    targets : (batch, classes) probabilities
    """
    batch = len(waveform)
    other = torch.randperm(batch, generator=generator)
    ratio = torch.rand(batch, generator=generator).clamp(1e-3, 1 - 1e-3)
    ratio = torch.where(torch.rand(batch, generator=generator) < share, ratio, 1.0)[:, None]
    ratio, other = ratio.to(waveform.device), other.to(waveform.device)
    levels = _level(waveform)
    quieter = ((levels[other] + 1e-6) / (levels + 1e-6)).clamp(1 / 30, 30)
    amplitude = 1 / (1 + (1 - ratio) / ratio / quieter[:, None])
    amplitude = torch.where(ratio >= 1, 1.0, amplitude)
    mixed = waveform * amplitude + waveform[other] * (1 - amplitude)
    mixed = mixed / (amplitude**2 + (1 - amplitude) ** 2).sqrt()
    return mixed, targets * ratio + targets[other] * (1 - ratio)


def _level(waveform: Tensor) -> Tensor:
    """Return the RMS (batch,) of the loudest tenth of a second (3200 samples at 32 kHz)."""
    pieces = waveform[:, : waveform.shape[1] // 3200 * 3200].unflatten(1, (-1, 3200))
    return pieces.square().mean(2).max(1).values.sqrt()


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
    shares = _beta(recipe.mixup_beta, batch, generator)[:, None].to(waveform.device)
    other = torch.randperm(batch, generator=generator).to(waveform.device)
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


# --- on pictures --------------------------------------------------------------------------


def colour(log_mel: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Raise and lower broad frequency bands at random, as a different microphone would.

    The gain over frequency is a piecewise linear curve through 2 to 6 random points.

    Parameters
    ----------
    log_mel : (batch, 1, mels, frames), normalised
    most : largest change, in the units of `log_mel`

    Returns
    -------
    (batch, 1, mels, frames)
    """
    batch, _, mels, _ = log_mel.shape
    curves = []
    for count in torch.randint(2, 7, (batch,), generator=generator).tolist():
        points = _uniform(-most, most, count, generator)[None, None]
        curves.append(F.interpolate(points, mels, mode="linear", align_corners=True)[0, 0])
    return log_mel + torch.stack(curves)[:, None, :, None].to(log_mel.device)


def mask(log_mel: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Hide random bands and frames (SpecAugment) by setting them to 0, the mean.

    Parameters
    ----------
    log_mel : (batch, 1, mels, frames), normalised
    recipe : masks is the number of masks along each axis; frequency_mask (bands) and time_mask
        (frames, at most a sixth of all) are their largest widths

    Returns
    -------
    (batch, 1, mels, frames)
    """
    batch, _, mels, frames = log_mel.shape
    hidden = torch.zeros(batch, mels, frames, dtype=torch.bool, device=log_mel.device)
    for _ in range(recipe.masks):
        rows = _band(mels, recipe.frequency_mask, batch, generator).to(log_mel.device)
        columns = _band(frames, min(recipe.time_mask, frames // 6), batch, generator)
        hidden |= rows[:, :, None] | columns.to(log_mel.device)[:, None, :]
    return log_mel.masked_fill(hidden[:, None], 0.0)


def _band(length: int, widest: int, batch: int, generator: torch.Generator) -> Tensor:
    """Return (batch, length) bool with one random run of at most `widest` in each row."""
    width = torch.randint(widest + 1, (batch, 1), generator=generator)
    start = (torch.rand(batch, 1, generator=generator) * (length - width + 1)).long()
    place = torch.arange(length)
    return (place >= start) & (place < start + width)
