"""Draw one sound before and after each augmentation: `python -m training.draw_augmentations`.

Applies the functions of training to the sample sounds, and writes docs/augmentations.png.
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ml.audio.decode import read
from ml.checkpoint_info import FeatureConfig
from ml.features import LogMel
from training import augment, mixing
from training.config import HERE, Recipe
from training.data.windows import cut
from training.figures import figure, save

FEATURES = FeatureConfig()
SOUNDS = HERE / "webapp" / "samples"
COLUMNS = 3
LOW_DB, HIGH_DB = -55.0, 35.0
TICKS = {200: "200", 1000: "1k", 4000: "4k", 14_000: "14k"}  # labels by frequency in Hz
SEED = 39  # chosen so that each change can be seen well
Change = Callable[[Tensor, torch.Generator], Tensor]


def sound(name: str) -> Tensor:
    """Return the first window of a sample sound, (samples,) float32."""
    waveform = read(SOUNDS / f"{name}.flac", FEATURES.sample_rate).waveform
    return torch.from_numpy(next(cut(waveform, FEATURES.window_samples)))


def changes() -> dict[str, Change]:
    """Return the augmentations by title.

    Each maps (2, samples) to (2, 1, mels, frames) in dB, of which the first row is drawn.
    """
    log_mel = LogMel(FEATURES)
    recipe = Recipe(mixup_share=1.0, mixup_beta=2.0, masks=2)
    targets = torch.eye(2)
    half = torch.full((2,), 0.5)

    def normalised(change: Callable[[Tensor], Tensor], waveform: Tensor) -> Tensor:
        decibels = log_mel.decibels(waveform)
        mean, deviation = decibels.mean(), decibels.std()
        return change((decibels - mean) / deviation) * deviation + mean

    def colour_of(waveform: Tensor, generator: torch.Generator) -> Tensor:
        return normalised(lambda x: augment.colour(x, 0.6, generator), waveform)

    def mask_of(waveform: Tensor, generator: torch.Generator) -> Tensor:
        return normalised(lambda x: augment.mask(x, recipe, generator), waveform)

    def on_sound(change: Callable[[Tensor, torch.Generator], Tensor]) -> Change:
        return lambda waveform, generator: log_mel.decibels(change(waveform, generator))

    return {
        "original sound: church bells": on_sound(lambda x, g: x),
        "mixed with: siren": on_sound(lambda x, g: x.flip(0)),
        "shift": on_sound(augment.shift),
        "gain (here 6 dB quieter)": on_sound(lambda x, g: x * 10 ** (-6 / 20)),
        "change_speed (up to 10 %)": on_sound(lambda x, g: augment.change_speed(x, 0.1, g)),
        "crop (to 2.5 s)": on_sound(lambda x, g: augment.crop(x, x.shape[1] // 2, g)),
        "mixup": on_sound(lambda x, g: mixing.mixup(x, targets, recipe, g)[0]),
        "mix by loudness": on_sound(lambda x, g: mixing.by_loudness(x, x.flip(0), half)[0]),
        "mix in time": on_sound(lambda x, g: mixing.in_time(x, x.flip(0), half, 0.4 * half)[0]),
        "mix in frequency": on_sound(
            lambda x, g: mixing.in_frequency(x, x.flip(0), half, FEATURES.sample_rate)[0]
        ),
        "colour": colour_of,
        "mask": mask_of,
        "all augmentations of the recipe": everything,
    }


def everything(waveform: Tensor, generator: torch.Generator) -> Tensor:
    """Apply all augmentations with the recipe's defaults.

    Parameters
    ----------
    waveform : (2, samples)

    Returns
    -------
    (2, 1, mels, frames) in dB
    """
    decibels = LogMel(FEATURES).decibels(waveform)
    mean, deviation = float(decibels.mean()), float(decibels.std())
    shown = LogMel(dataclasses.replace(FEATURES, mean_db=mean, deviation_db=deviation))
    _, picture, _ = augment.augmented(waveform, torch.eye(2), Recipe(), shown, 0.0, generator)
    return picture * deviation + mean


def draw() -> Figure:
    """Draw the sound after each augmentation, with a common scale of levels."""
    both = torch.stack([sound("church_bells"), sound("siren")])
    drawn = changes()
    sheet = figure(9.6, 8.8, dpi=100)
    panels = sheet.subplots(-(-len(drawn) // COLUMNS), COLUMNS, sharex=True, sharey=True)
    for axes, (name, change) in zip(panels.flat, drawn.items(), strict=False):
        decibels = change(both, torch.Generator().manual_seed(SEED))[0, 0].numpy()
        duration_s = decibels.shape[1] * FEATURES.hop_samples / FEATURES.sample_rate
        image = axes.imshow(
            decibels, "magma", aspect="auto", origin="lower", vmin=LOW_DB, vmax=HIGH_DB,
            extent=(0, duration_s, 0, FEATURES.mels),
        )  # fmt: skip
        axes.set_title(name, loc="left", size=10)
        axes.tick_params(labelbottom=True, labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels.flat[len(drawn) :]:
        axes.set_visible(False)
    bands = np.searchsorted(LogMel(FEATURES).band_centres_hz(), list(TICKS))
    axes = panels.flat[0]
    axes.set_yticks(bands + 0.5, TICKS.values())
    axes.set_xlim(0, FEATURES.window_s)
    sheet.supxlabel("time (s)", size=10)
    sheet.supylabel("frequency (Hz)", size=10)
    sheet.colorbar(image, ax=panels, label="level (dB)", shrink=0.5, pad=0.01)
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.draw_augmentations")
    parser.add_argument("--out", type=Path, default=HERE / "docs" / "augmentations.png")
    options = parser.parse_args()
    save(draw(), options.out, colours=32)


if __name__ == "__main__":
    main()
