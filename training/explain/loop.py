"""Train a mask decoder: the steps, and the state that a run can be resumed from."""

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ml.explain.mask_decoder import CELL_FRAMES, MaskDecoder
from ml.explain.masking import Masking, resized
from ml.features import LogMel
from ml.model import AudioCNN
from training.data.windows import to_float
from training.explain.losses import Question, ask, losses
from training.explain.recipe import ExplainRecipe
from training.explain.windows import Composed, compose
from training.loop import update_average

# What `take_step` measures beside the parts of the loss.
FIGURES = ("part keeps", "rest keeps", "mask", "absent mask")
# A mask of this amplitude is silence for all purposes; its logarithm must be finite.
MIN_GAIN = 1e-4
# How the shift of the masks to an area is found: by halving the interval.
SHIFT_WINDOWS, SHIFT_BATCH, MAX_SHIFT, SHIFT_HALVINGS = 256, 16, 5.0, 20
# How much the latest step counts in the means that are shown.
LATEST_SHARE = 0.03


@dataclass(slots=True)
class Frozen:
    """What a decoder is trained for and from, none of which changes.

    Attributes
    ----------
    model : AudioCNN
        Folded, without gradients for its weights.
    temperature : float
    log_mel : LogMel
    masking : Masking
    samples : (windows, samples) int16
    labels : (windows,) int64
    rows : (rows,) int64
        The windows of the folds to train on.
    """

    model: AudioCNN
    temperature: float
    log_mel: LogMel
    masking: Masking
    samples: Tensor
    labels: Tensor
    rows: Tensor


@dataclass(slots=True)
class Run:
    """The state of a run.

    Attributes
    ----------
    average : MaskDecoder
        The moving average of the weights, which is what is saved.
    means : dict of str to float
        The moving averages of what `take_step` measures, by name.
    """

    decoder: MaskDecoder
    average: MaskDecoder
    optimiser: torch.optim.Optimizer
    recipe: ExplainRecipe
    steps: int
    step: int = 0
    means: dict[str, float] = field(default_factory=dict)

    @property
    def on_sound(self) -> bool:
        """Whether the next step masks the sound, and not the power of the mel bands."""
        return self.step >= (1 - self.recipe.sound_share) * self.steps

    @property
    def figures(self) -> dict[str, float]:
        """The means of the FIGURES, for the header of the decoder."""
        return {name: round(value, 4) for name, value in self.means.items() if name in FIGURES}

    def state(self) -> dict[str, Any]:
        return {
            "decoder": self.decoder.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
            "step": self.step,
            "means": self.means,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.decoder.load_state_dict(state["decoder"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.step, self.means = state["steps"], state["step"], state["means"]


def start(classes: int, recipe: ExplainRecipe, weights: dict[str, Tensor] | None = None) -> Run:
    """Return a new run, seeded by the recipe.

    Parameters
    ----------
    weights : dict of str to Tensor, optional
        Of a decoder to start from.
    """
    torch.manual_seed(recipe.seed)
    decoder = MaskDecoder(classes).to(memory_format=torch.channels_last)
    if weights:
        decoder.load_state_dict(weights)
    matrices = [p for p in decoder.parameters() if p.ndim > 1]
    vectors = [p for p in decoder.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
    )
    return Run(decoder, copy.deepcopy(decoder), optimiser, recipe, recipe.steps)


def take_step(run: Run, frozen: Frozen) -> None:
    """Train on one batch, and count the parts of its loss and the FIGURES in the run's means.

    All random numbers of a step come from the seed and its number, so a resumed run continues as
    if it had not been interrupted.
    """
    recipe = run.recipe
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + run.step)
    on_sound = run.on_sound
    composed = _composed(frozen, recipe, on_sound, generator)
    with torch.no_grad():
        pictures = frozen.log_mel(composed.waveforms)
        output = frozen.model(_input(pictures, frozen.model))
        probabilities = (output.logits.float() / frozen.temperature).softmax(1)
    width = -(-pictures.shape[-1] // CELL_FRAMES)
    question = ask(
        probabilities, composed.labels, composed.first_until, width, recipe, generator
    )  # fmt: skip
    run.decoder.train()
    asked = question.classes[:, None]
    masks = run.decoder(output, frozen.model.fc, asked)[:, 0].sigmoid()
    parts = masked_sounds if on_sound else masked_pictures
    both = torch.cat(parts(frozen, composed.waveforms, pictures, masks))
    logits = frozen.model(_input(both, frozen.model)).logits.float() / frozen.temperature
    kept, rest = logits.chunk(2)
    values = losses(masks, kept, rest, question, recipe)
    _update(run, torch.stack(list(values.values())).sum())
    shown = {name: value.item() for name, value in values.items()}
    for name, value in (shown | _figures(masks, kept, rest, question)).items():
        before = run.means.get(name, value)
        run.means[name] = (1 - LATEST_SHARE) * before + LATEST_SHARE * value


def _composed(
    frozen: Frozen, recipe: ExplainRecipe, whole: bool, generator: torch.Generator
) -> Composed:
    """Draw the windows of a step, whole ones or those of the recipe's `crop_s`."""
    features = frozen.log_mel.config
    length_s = features.window_s if whole else min(recipe.crop_s, features.window_s)
    drawn = torch.randint(len(frozen.rows), (2 * recipe.batch,), generator=generator)
    rows = frozen.rows[drawn]
    length = round(length_s * features.sample_rate)
    return compose(frozen.samples[rows], frozen.labels[rows], length, recipe, generator)


def _update(run: Run, loss: Tensor) -> None:
    """Change the decoder by the gradients of the loss; not if they are not finite."""
    for group in run.optimiser.param_groups:
        group["lr"] = learning_rate(run.recipe, run.step / run.steps)
    run.optimiser.zero_grad()
    loss.backward()
    if torch.isfinite(nn.utils.clip_grad_norm_(run.decoder.parameters(), 1.0)):
        run.optimiser.step()
    run.step += 1
    # A moving average over fewer steps at first, so that the random start is soon forgotten.
    decay = min(run.recipe.ema, run.step / (run.step + 10))
    update_average(run.average, run.decoder, decay)


@torch.no_grad()
def shift_to_area(decoder: MaskDecoder, frozen: Frozen, area: float, seed: int) -> None:
    """Change the last bias so that the masks of whole training windows have this mean area.

    Parameters
    ----------
    area : float
        Share of the window, between 0 and 1.
    """
    decoder.eval()
    generator = torch.Generator().manual_seed(seed)
    drawn = frozen.rows[torch.randperm(len(frozen.rows), generator=generator)[:SHIFT_WINDOWS]]
    found = []
    for rows in drawn.split(SHIFT_BATCH):
        pictures = frozen.log_mel(to_float(frozen.samples[rows]))
        output = frozen.model(_input(pictures, frozen.model))
        found.append(decoder(output, frozen.model.fc, frozen.labels[rows][:, None]))
    logits = torch.cat(found)
    low, high = -MAX_SHIFT, MAX_SHIFT
    for _ in range(SHIFT_HALVINGS):
        middle = (low + high) / 2
        small = (logits + middle).sigmoid().mean() < area
        low, high = (middle, high) if small else (low, middle)
    assert decoder.last.bias is not None
    decoder.last.bias += (low + high) / 2


def masked_pictures(
    frozen: Frozen, waveforms: Tensor, pictures: Tensor, masks: Tensor
) -> tuple[Tensor, Tensor]:
    """Mask the power of the mel bands: close to the sound's own spectrogram, and quick."""
    features = frozen.log_mel.config
    gains = resized(masks, *pictures.shape[-2:])[:, None]
    parts = []
    for gain in (gains, 1 - gains):
        change = 20 * gain.clamp_min(MIN_GAIN).log10() / features.deviation_db
        parts.append((pictures + change).clamp_min(features.silence))
    return parts[0], parts[1]


def masked_sounds(
    frozen: Frozen, waveforms: Tensor, pictures: Tensor, masks: Tensor
) -> tuple[Tensor, Tensor]:
    """Mask the sound as it is played: spectrum, sound, log-mel spectrogram."""
    split = frozen.masking.split(waveforms, masks)
    return frozen.log_mel(split.kept), frozen.log_mel(split.rest)


def learning_rate(recipe: ExplainRecipe, progress: float) -> float:
    """Return the rate after a share of the steps: a linear rise, then half a cosine."""
    if progress < recipe.warm_up:
        return recipe.learning_rate * (0.05 + 0.95 * progress / recipe.warm_up)
    falling = (progress - recipe.warm_up) / (1 - recipe.warm_up)
    return recipe.learning_rate * max(0.01, 0.5 * (1 + math.cos(math.pi * falling)))


def _input(pictures: Tensor, model: AudioCNN) -> Tensor:
    return pictures.to(model.fc.weight.dtype).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def _figures(masks: Tensor, kept: Tensor, rest: Tensor, question: Question) -> dict[str, float]:
    """Return what can be compared with the evaluation; NaN is left out."""
    rows, held = torch.arange(len(masks)), question.held
    areas = masks.mean((1, 2))
    part, others = (found.softmax(1)[rows, question.classes] for found in (kept, rest))
    values = [found[held].mean() for found in (part, others, areas)] + [areas[~held].mean()]
    shown = zip(FIGURES, values, strict=True)
    return {name: value.item() for name, value in shown if torch.isfinite(value)}
