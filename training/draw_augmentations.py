"""Draw one sound before and after each augmentation: `python -m training.draw_augmentations`.

Applies the functions of training to the sample sounds, and writes docs/augmentations.png.
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ml.audio.decode import read
from ml.checkpoint_info import FeatureConfig
from ml.features import LogMel
from ml.rendering.png import PALETTE, to_index
from training import augment
from training.config import HERE, Recipe
from training.data.windows import cut

FEATURES = FeatureConfig()
SOUNDS = HERE / "webapp" / "samples"
WIDTH, HEIGHT, EDGE, TITLE, COLUMNS = 270, 110, 40, 24, 3
LOW_DB, HIGH_DB = -55.0, 35.0
SEED = 39  # chosen so that each change can be seen well
INK, PAPER = (24, 20, 40), (255, 255, 255)
Change = Callable[[Tensor, torch.Generator], Tensor]


def sound(name: str) -> Tensor:
    """Return the first window (samples,) float32 of a sample sound."""
    waveform = read(SOUNDS / f"{name}.flac", FEATURES.sample_rate).waveform
    return torch.from_numpy(next(cut(waveform, FEATURES.window_samples)))


def changes() -> dict[str, Change]:
    """Return the augmentations by title.

    Each maps (2, samples) to (2, 1, mels, frames) in dB, of which the first row is drawn.
    """
    log_mel = LogMel(FEATURES)
    recipe = Recipe(mixup_share=1.0, mixup_beta=2.0, masks=2)
    targets = torch.eye(2)

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
        "the sound: church bells": on_sound(lambda x, g: x),
        "mixed with: crickets": on_sound(lambda x, g: x.flip(0)),
        "shift": on_sound(augment.shift),
        "gain (here 6 dB quieter)": on_sound(lambda x, g: x * 10 ** (-6 / 20)),
        "change_speed (up to 10 %)": on_sound(lambda x, g: augment.change_speed(x, 0.1, g)),
        "crop (to 2.5 s)": on_sound(lambda x, g: augment.crop(x, x.shape[1] // 2, g)),
        "mixup": on_sound(lambda x, g: augment.mixup(x, targets, recipe, g)[0]),
        "between_class": on_sound(lambda x, g: augment.between_class(x, targets, 1.0, g)[0]),
        "colour": colour_of,
        "mask": mask_of,
        "all that the recipe uses": everything,
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
    picture, _ = augment.augmented(waveform, torch.eye(2), Recipe(), shown, 0.0, generator)
    return picture * deviation + mean


def panel(decibels: np.ndarray) -> Image.Image:
    """Draw a spectrogram; one with fewer frames than a window is narrower.

    Parameters
    ----------
    decibels : (mels, frames), low frequencies first
    """
    image = Image.fromarray(np.flipud(to_index(decibels, LOW_DB, HIGH_DB)))
    image.putpalette(PALETTE)
    full = 1 + FEATURES.window_samples // FEATURES.hop_samples
    width = round(WIDTH * decibels.shape[1] / full)
    return image.convert("RGB").resize((width, HEIGHT), Image.Resampling.BOX)


def draw() -> Image.Image:
    """Draw the whole sheet."""
    both = torch.stack([sound("church_bells"), sound("crickets")])
    drawn = changes()
    rows = -(-len(drawn) // COLUMNS)
    step_x, step_y = WIDTH + EDGE + 16, HEIGHT + TITLE + 28
    sheet = Image.new("RGB", (COLUMNS * step_x + 8, rows * step_y), PAPER)
    pen = ImageDraw.Draw(sheet)
    title, small = ImageFont.load_default(14), ImageFont.load_default(11)
    for place, (name, change) in enumerate(drawn.items()):
        left = place % COLUMNS * step_x + EDGE
        top = place // COLUMNS * step_y + TITLE
        shown = change(both, torch.Generator().manual_seed(SEED))[0, 0].numpy()
        image = panel(shown)
        sheet.paste(image, (left, top))
        pen.text((left, top - 7), name, INK, title, anchor="ls")
        for seconds in range(6):
            x = left + round(seconds / FEATURES.window_s * WIDTH)
            pen.text((x, top + HEIGHT + 3), str(seconds), INK, small, anchor="mt")
        pen.text((left + WIDTH + 5, top + HEIGHT + 3), "s", INK, small, anchor="lt")
        centres_hz = LogMel(FEATURES).band_centres_hz()
        for hz, text in ((200, "200"), (1000, "1 k"), (4000, "4 k"), (14_000, "14 kHz")):
            band = int(np.searchsorted(centres_hz, hz))
            y = top + HEIGHT - round((band + 0.5) / FEATURES.mels * HEIGHT)
            pen.text((left - 4, y), text, INK, small, anchor="rm")
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.draw_augmentations")
    parser.add_argument("--out", type=Path, default=HERE / "docs" / "augmentations.png")
    options = parser.parse_args()
    draw().quantize(128).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
