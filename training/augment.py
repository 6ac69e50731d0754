"""Data augmentation: every function changes a whole batch, on the device of the sounds.

Each row is changed in its own way by index arithmetic, without a loop over rows. All random numbers
come from one generator on the CPU. Mixing is in training/mixing.py.
"""

import math

import torch
from torch import Tensor

from ml.features import LogMel
from training.config import Recipe
from training.draws import copied, uniform
from training.mixing import mix, mixup

# Crop lengths are multiples of this, so that a GPU sees few shapes of its input.
CROP_STEP_S = 0.5
# A curve of `colour` has at most this many points.
COLOUR_POINTS = 6


def augmented(
    waveform: Tensor,
    targets: Tensor,
    recipe: Recipe,
    log_mel: LogMel,
    progress: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Augment a batch by the recipe.

    Parameters
    ----------
    waveform : (batch, samples) float32 in [-1, 1] at log_mel.config.sample_rate Hz
    targets : (batch, classes) probabilities
    progress : share of the training that is completed, 0 to 1

    Returns
    -------
    waveform : (batch, samples) as changed and mixed, of the length of the crop
    picture : (batch, 1, mels, frames) normalised log-mel spectrograms of `waveform`, with masks and
        colour
    targets : (batch, classes) probabilities, mixed where sounds were mixed
    """
    rate = log_mel.config.sample_rate
    waveform, targets = augmented_waveform(waveform, targets, recipe, rate, progress, generator)
    return waveform, augmented_picture(waveform, recipe, log_mel, generator), targets


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
    if progress < recipe.crop_share:
        # A crop starts anywhere in the sound, as a shifted sound does.
        waveform = crop(waveform, crop_samples(recipe, sample_rate, generator), generator)
    elif recipe.shift:
        waveform = shift(waveform, generator)
    if recipe.gain_db:
        waveform = gain(waveform, recipe.gain_db, generator)
    if recipe.speed:
        waveform = change_speed(waveform, recipe.speed, generator)
    if recipe.between_class:
        if recipe.mixup_share or recipe.time_mix_share or recipe.frequency_mix_share:
            waveform, targets = mix(waveform, targets, recipe, sample_rate, generator)
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
    starts = torch.randint(waveform.shape[1], (len(waveform),), generator=generator)
    return _pieces(waveform, starts, waveform.shape[1])


def _pieces(waveform: Tensor, starts: Tensor, samples: int) -> Tensor:
    """Return a piece (batch, samples) of each sound from its own start on, read circularly.

    Parameters
    ----------
    waveform : (batch, n), n at least `samples`
    starts : (batch,) int64, 0 to n - 1, on the CPU
    """
    circular = torch.cat([waveform, waveform[:, : samples - 1]], 1)
    rows = torch.arange(len(waveform), device=waveform.device)
    # A view of the pieces from every start; only the chosen ones are copied.
    return circular.unfold(1, samples, 1)[rows, copied(starts, waveform.device)]


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
    gains = 10 ** (uniform(-most_db, most_db, len(waveform), generator) / 20)
    return waveform * copied(gains, waveform.device)[:, None]


def crop_samples(recipe: Recipe, sample_rate: int, generator: torch.Generator) -> int:
    """Return the length of a batch's crops: crop_s, or a random one up to crop_longest_s."""
    # In floats, (2.3 - 1.8) / 0.5 is slightly less than 1.
    steps = int(max(0.0, recipe.crop_longest_s - recipe.crop_s) / CROP_STEP_S + 1e-6)
    step = int(torch.randint(steps + 1, (), generator=generator)) if steps else 0
    return int((recipe.crop_s + step * CROP_STEP_S) * sample_rate)


def crop(waveform: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    """Crop each sound to the louder of two random pieces, read circularly.

    Many clips are a short sound followed by silence: a single random crop would often contain
    only silence under the clip's label.

    Parameters
    ----------
    waveform : (batch, n)
    samples : length of the crop; a longer one than the sound is the whole sound

    Returns
    -------
    (batch, samples)
    """
    batch, length = waveform.shape
    samples = min(samples, length)
    starts = torch.randint(length, (2, batch), generator=generator)
    first, second = (_pieces(waveform, at, samples) for at in starts)
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
    rates = torch.exp(uniform(-1, 1, len(waveform), generator) * math.log1p(most))
    # The last of the samples that are read, `samples` of them played at the rate.
    last = (samples * rates.double()).round() - 1
    lag = copied((last / (samples - 1) - 1).float(), waveform.device)[:, None]
    place = torch.arange(samples, device=waveform.device)
    circular = torch.cat([waveform, waveform[:, : int(most * samples) + 2]], 1)
    # Only the difference between both positions is a float: it is small, and therefore exact.
    offset = lag * place
    whole = offset.floor()
    at = whole.long().add_(place)
    before, after = circular.gather(1, at), circular.gather(1, at.add_(1))
    return before.lerp_(after, offset.sub_(whole))


# --- on pictures --------------------------------------------------------------------------


def colour(log_mel: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Raise and lower broad frequency bands at random, as a different microphone would.

    The gain over frequency is a piecewise linear curve through 2 to 6 random levels.

    Parameters
    ----------
    log_mel : (batch, 1, mels, frames), normalised
    most : largest change, in the units of `log_mel`

    Returns
    -------
    (batch, 1, mels, frames)
    """
    batch, mels = len(log_mel), log_mel.shape[2]
    counts = torch.randint(2, COLOUR_POINTS + 1, (batch, 1), generator=generator)
    levels = uniform(-most, most, batch * COLOUR_POINTS, generator).view(batch, COLOUR_POINTS)
    # The first `count` levels are spread evenly over the bands, from the first to the last.
    place = torch.arange(mels) * (counts - 1) / (mels - 1)
    left = place.long().clamp_max(counts - 2)
    curves = torch.lerp(levels.gather(1, left), levels.gather(1, left + 1), place - left)
    return log_mel + copied(curves, log_mel.device)[:, None, :, None]


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
        rows = copied(_band(mels, recipe.frequency_mask, batch, generator), log_mel.device)
        columns = _band(frames, min(recipe.time_mask, frames // 6), batch, generator)
        hidden |= rows[:, :, None] | copied(columns, log_mel.device)[:, None, :]
    return log_mel.masked_fill(hidden[:, None], 0.0)


def _band(length: int, widest: int, batch: int, generator: torch.Generator) -> Tensor:
    """Return (batch, length) bool with one random run of at most `widest` in each row."""
    width = torch.randint(widest + 1, (batch, 1), generator=generator)
    start = (torch.rand(batch, 1, generator=generator) * (length - width + 1)).long()
    place = torch.arange(length)
    return (place >= start) & (place < start + width)
