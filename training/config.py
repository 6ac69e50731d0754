"""The settings of a training run. They are frozen, and saved in the checkpoint."""

import dataclasses
import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ml.checkpoint_info import FeatureConfig

# A frozen dataclass of settings.
AnyRecipe = TypeVar("AnyRecipe", bound=Any)


class SettingError(ValueError):
    """A setting is invalid. The message names it and says what is valid."""


# The fields of a recipe that are shares, 0 to 1.
SHARES = (
    "warm_up", "label_smoothing", "crop_share", "mixup_share", "time_mix_share",
    "frequency_mix_share", "ema", "unlabelled_share",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. See training/LOG.md for the experiments behind each number.

    A step whose setting is 0 or False is skipped.

    Attributes
    ----------
    warm_up : share of the steps in which the learning rate rises
    ema : decay of the moving average of the weights; 0: no average, the weights themselves are
        shipped
    crop_s : seconds of each sound that are kept
    crop_longest_s : if not 0, each batch keeps a random length from crop_s up to this one, in steps
        of half a second
    crop_share : share of the training, from its start, in which sounds are cropped
    gain_db : largest change of the level, up or down
    speed : largest change of the speed, 0.1 for 10 %; less than 1
    mixup_share : share of sounds (between-class) or of batches (mixup) that are mixed
    time_mix_share, frequency_mix_share : shares of sounds that are mixed in time and in frequency
        instead; they need between_class
    mixup_beta : parameter of mixup's Beta distribution
    between_class : mix by between-class learning; otherwise by mixup
    colour_db : largest change of a frequency band, up or down
    frequency_mask, time_mask : largest width of a mask in mel bands and in frames
    masks : number of masks along each axis
    shift : shift sounds circularly
    precision : "bf16" (autocast) or "fp32"
    init : SHA-256 of the checkpoint that the run starts from; "" without one. Set by --init
    teacher : SHA-256 of the teacher's file; "" without one. Set by --teacher
    teacher_epochs : epochs of fine-tuning of the teacher before the training; 0: none
    label_weight, teacher_weight, feature_weight : of the parts of the loss with a teacher: the
        labels, the predictions of the teacher's head, and the teacher's features
    unlabelled_share : windows of sounds without labels in each epoch, per window with a label; all
        of them if there are fewer

    Raises
    ------
    SettingError
        A value is out of range.
    """

    epochs: int = 150
    batch: int = 32
    learning_rate: float = 1.5e-3
    warm_up: float = 0.15
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    ema: float = 0.995
    crop_s: float = 2.0
    crop_longest_s: float = 0.0
    crop_share: float = 0.9
    gain_db: float = 6.0
    speed: float = 0.1
    mixup_share: float = 0.7
    time_mix_share: float = 0.0
    frequency_mix_share: float = 0.0
    mixup_beta: float = 0.3
    between_class: bool = True
    colour_db: float = 6.0
    frequency_mask: int = 24
    time_mask: int = 40
    masks: int = 2
    seed: int = 1
    shift: bool = True
    precision: str = "bf16"
    init: str = ""
    teacher: str = ""
    teacher_epochs: int = 0
    label_weight: float = 0.5
    teacher_weight: float = 1.0
    feature_weight: float = 0.5
    unlabelled_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "learning_rate", "mixup_beta"):
            if not getattr(self, name) > 0:
                raise SettingError(f"{name} must be greater than 0.")
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"{name} must be between 0 and 1.")
        for name in ("teacher_epochs", "label_weight", "teacher_weight", "feature_weight"):
            if not getattr(self, name) >= 0:
                raise SettingError(f"{name} must be at least 0.")
        if not 0 <= self.speed < 1:
            raise SettingError(
                "speed must be at least 0 and less than 1, for example 0.1 for 10 %."
            )
        if self.ema == 1:
            raise SettingError("ema must be less than 1: at 1 the average never changes.")
        if self.crop_share and self.crop_s <= 0:
            raise SettingError("crop_share requires crop_s, the number of seconds to keep.")
        if self.crop_longest_s and self.crop_longest_s < self.crop_s:
            raise SettingError("crop_longest_s must be 0 or at least crop_s.")
        self._check_mixing()
        if self.precision not in ("bf16", "fp32"):
            raise SettingError('precision must be "bf16" or "fp32".')

    def _check_mixing(self) -> None:
        in_parts = self.time_mix_share + self.frequency_mix_share
        if in_parts and not self.between_class:
            raise SettingError(
                "time_mix_share and frequency_mix_share need between_class=yes: mixup mixes whole "
                "batches."
            )
        # A sum of decimal fractions such as 0.7 + 0.2 + 0.1 may be slightly more than 1.
        if self.between_class and self.mixup_share + in_parts > 1 + 1e-9:
            raise SettingError(
                "mixup_share, time_mix_share and frequency_mix_share must not add up to more than "
                "1: each sound is mixed once."
            )


@dataclass(frozen=True, slots=True)
class Setup:
    """The choice of `--recipe`: how to train, and the features of the network's input."""

    recipe: Recipe
    features: FeatureConfig


# The settings that Audio CNN Visualizer documents. docs/training.md lists the differences.
ORIGINAL = Setup(
    Recipe(
        epochs=100,
        batch=32,
        learning_rate=2e-3,
        warm_up=0.3,
        weight_decay=0.01,
        label_smoothing=0.1,
        ema=0.0,
        shift=False,
        gain_db=0.0,
        crop_s=0.0,
        crop_share=0.0,
        speed=0.0,
        between_class=False,
        colour_db=0.0,
        mixup_share=0.3,
        mixup_beta=0.2,
        frequency_mask=30,
        time_mask=80,
        masks=1,
    ),
    FeatureConfig(
        sample_rate=22_050, n_fft=1024, hop_samples=512, mels=128, f_min_hz=0.0, f_max_hz=11_025.0
    ),
)
# For a long run with a teacher, which labels whatever the augmentations make of a sound.
DISTILLED = Setup(
    Recipe(
        epochs=1000,
        crop_s=1.5,
        crop_longest_s=5.0,
        crop_share=0.88,
        mixup_share=0.6,
        time_mix_share=0.15,
        frequency_mix_share=0.15,
    ),
    FeatureConfig(),
)
RECIPES = {
    "sonoscope": Setup(Recipe(), FeatureConfig()),
    "distilled": DISTILLED,
    "original": ORIGINAL,
}
# The share of a run with --unlabelled whose recipe has none.
UNLABELLED_SHARE = 0.5
# The recipe that cannot be used without a teacher.
NEEDS_TEACHER = "distilled"


def small(recipe: Recipe) -> Setup:
    """Return `recipe` for a run of seconds on one-second sounds, to try the code without data."""
    shorter = dataclasses.replace(
        recipe,
        epochs=3,
        batch=8,
        ema=min(recipe.ema, 0.9),
        crop_s=min(recipe.crop_s, 0.5),
        crop_longest_s=min(recipe.crop_longest_s, 1.0),
        precision="fp32",
    )
    return Setup(
        shorter,
        FeatureConfig(sample_rate=16_000, window_s=1.0, n_fft=512, mels=64, f_max_hz=8_000.0),
    )


def unmixed(recipe: Recipe) -> Recipe:
    """Return `recipe` with every share of sounds that are mixed with another one set to 0."""
    names = [field.name for field in dataclasses.fields(Recipe)]
    shares = [name for name in names if name.endswith(("mixup_share", "mix_share"))]
    return dataclasses.replace(recipe, **dict.fromkeys(shares, 0.0))  # type: ignore[arg-type]


def changed(recipe: AnyRecipe, settings: Sequence[str]) -> AnyRecipe:
    """Return `recipe` with each "name=value" of `settings` applied.

    Raises
    ------
    SettingError
        A setting has no such name, or its value is invalid.
    """
    kinds = {field.name: field.type for field in dataclasses.fields(recipe)}
    values: dict[str, object] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise SettingError(f"{setting!r} is not a valid setting. Write it as name=value.")
        if name not in kinds:
            near = difflib.get_close_matches(name, kinds, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"The fields are: {', '.join(kinds)}."
            raise SettingError(f"The recipe has no field {name!r}. {hint}")
        values[name] = _value(name, text, kinds[name])
    return dataclasses.replace(recipe, **values)


def _value(name: str, text: str, kind: object) -> object:
    if kind is bool:
        if text.lower() not in ("yes", "no", "true", "false"):
            raise SettingError(f"{name} must be yes or no, not {text!r}.")
        return text.lower() in ("yes", "true")
    try:
        return kind(text)  # type: ignore[operator]
    except ValueError as error:
        what = "a whole number" if kind is int else "a number"
        raise SettingError(f"{name} must be {what}, not {text!r}.") from error


HERE = Path(__file__).resolve().parents[1]
# Where `python -m training.prepare` writes the data.
PREPARED = HERE / "data" / "esc50"


def esc50_dir() -> Path | None:
    """Return the ESC-50 folder, or None.

    It is `ESC50_DIR` if set, else the prepared folder, else one beside the checkout.
    """
    named = os.environ.get("ESC50_DIR")
    if named:
        return Path(named)
    for folder in (PREPARED, HERE.parent / "shared" / "data" / "esc50"):
        if (folder / "meta" / "esc50.csv").is_file():
            return folder
    return None
