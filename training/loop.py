"""The training loop: one epoch of training, and the state that a restart needs."""

import copy
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.features import LogMel
from ml.model import AudioCNN
from training.augment import augmented
from training.batches import batches, one_hot
from training.config import Recipe
from training.data.windows import to_float
from training.distil.distiller import PARTS, Distiller, Knowledge
from training.draws import copied
from training.graphs import StepGraphs

logger = logging.getLogger(__name__)


# Non-finite steps that are tolerated in an epoch. One more ends the use of bf16, or the run.
TOLERATED_STEPS = 1
# Steps on a GPU between two looks at the losses, because each look waits for the GPU.
CHECKED_EVERY = 20


class Diverged(Exception):
    """The loss or its gradients are not finite in fp32."""


@dataclass(frozen=True, slots=True)
class EpochLoss:
    """Means over the steps of an epoch that were not skipped.

    Attributes
    ----------
    total : the loss that was minimised
    parts : the parts of the loss of distillation before weighting, by name; empty without a teacher
    """

    total: float
    parts: dict[str, float]


@dataclass(slots=True)
class Run:
    """The state that changes during training, and that a checkpoint of the run must hold.

    Attributes
    ----------
    average : the network that is shipped: the moving average of the weights, or the model itself
        where the recipe asks for no average
    distiller : the teacher and its loss, in a distilled run
    precision : the recipe's, until bf16 fails repeatedly; then "fp32" to the end
    skipped_steps : number of steps whose loss or gradients were not finite
    best_accuracy : highest validation accuracy so far, 0 to 1; -1 before the first
    epochs : length of the schedule: the recipe's, or less if a time limit made it shorter
    timed : whether `epochs` is final
    graphs : CUDA graphs of the steps, where they are used; not part of the state
    """

    model: AudioCNN
    average: AudioCNN
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.OneCycleLR
    generator: torch.Generator
    epochs: int
    distiller: Distiller | None = None
    precision: str = "fp32"
    skipped_steps: int = 0
    epoch: int = 0
    best_epoch: int = 0
    best_accuracy: float = -1.0
    timed: bool = False
    graphs: StepGraphs | None = None

    @property
    def progress(self) -> float:
        """The share of the training that is completed, 0 to 1."""
        return self.epoch / self.epochs

    def state(self) -> dict[str, object]:
        """Return everything that `restore` needs, including the random number generators."""
        cuda = torch.cuda.is_available()
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "distiller": self.distiller.state_dict() if self.distiller else None,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state() if cuda else None,
            "precision": self.precision,
            "skipped_steps": self.skipped_steps,
            "epoch": self.epoch,
            "epochs": (self.epochs, self.timed),
            "best": (self.best_epoch, self.best_accuracy),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        if self.distiller:
            self.distiller.load_state_dict(state["distiller"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_rng"])
        if state["cuda_rng"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda_rng"])
        self.precision = state["precision"]
        self.skipped_steps = state["skipped_steps"]
        self.epoch = state["epoch"]
        self.epochs, self.timed = state["epochs"]
        self.best_epoch, self.best_accuracy = state["best"]


def start(
    recipe: Recipe,
    classes: int,
    steps_per_epoch: int,
    device: torch.device,
    weights: dict[str, Tensor] | None = None,
    distiller: Distiller | None = None,
) -> Run:
    """Create the model, optimiser and schedule of a new run, seeded by the recipe.

    Parameters
    ----------
    weights : to start from; without them, random ones
    """
    torch.manual_seed(recipe.seed)
    model = AudioCNN(classes)
    if weights:
        model.load_state_dict(weights)
    model = model.to(device).to(memory_format=torch.channels_last)
    trained = [*model.parameters(), *(distiller.imitation.parameters() if distiller else ())]
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        fused=True,  # on a CPU too: faster, and it can skip a step, see `take_step`
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        recipe.learning_rate,
        total_steps=recipe.epochs * steps_per_epoch,
        pct_start=recipe.warm_up,
    )
    generator = torch.Generator().manual_seed(recipe.seed)
    average = copy.deepcopy(model) if recipe.ema else model
    return Run(
        model, average, optimiser, schedule, generator, recipe.epochs, distiller, recipe.precision
    )


def shorten(run: Run, recipe: Recipe, epochs: int) -> None:
    """Change the length of the schedule to `epochs`; the steps taken so far stay as they were."""
    steps_per_epoch = run.schedule.total_steps // run.epochs
    run.epochs = epochs
    run.schedule = torch.optim.lr_scheduler.OneCycleLR(
        run.optimiser,
        recipe.learning_rate,
        total_steps=epochs * steps_per_epoch,
        pct_start=recipe.warm_up,
        last_epoch=run.schedule.last_epoch - 1,  # its constructor takes a step
    )


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Update the moving average: its weights move towards the model's, its buffers are copied.

    Parameters
    ----------
    decay : share of the average that is kept, 0 to 1
    """
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
    torch._foreach_copy_(list(average.buffers()), list(model.buffers()))


def train_epoch(
    run: Run,
    recipe: Recipe,
    log_mel: LogMel,
    samples: Tensor,
    labels: Tensor,
    rows: Tensor,
    on_step: Callable[[int, Tensor], None],
) -> EpochLoss:
    """Train for one epoch and return the mean loss of its steps.

    A step whose loss or gradients are not finite changes no weights and does not count in the
    mean. One such step in an epoch is tolerated; at the second, bf16 is replaced by fp32 and the
    count starts again.

    Parameters
    ----------
    samples : (windows, samples) int16
    labels : (windows,) int64, -1 without a label
    rows : (rows,) int64 indices of the windows to train on
    on_step : called after each step with its number and its loss, a scalar still on the device,
        NaN if the step was skipped

    Raises
    ------
    Diverged
        More than one step is not finite in fp32, or no step of the epoch is finite.
    """
    device = run.model.fc.weight.device
    order = rows[torch.randperm(len(rows), generator=run.generator)]
    known = copied(one_hot(labels, run.model.fc.out_features), device)
    check_every = 1 if device.type == "cpu" else CHECKED_EVERY
    run.model.train()
    losses: list[Tensor] = []
    checked = skipped = 0
    parts = zip(
        batches(samples, order, recipe.batch, device),
        copied(order, device).split(recipe.batch),
        strict=True,
    )
    for step, (part, chosen) in enumerate(parts):
        waveform, picture, targets = augmented(
            to_float(part), known[chosen], recipe, log_mel, run.progress, run.generator
        )
        losses.append(take_step(run, waveform, picture, targets, recipe))
        on_step(step, losses[-1][0])
        if (step + 1) % check_every == 0:
            skipped = _count_skipped(run, losses[checked:], skipped)
            checked = len(losses)
    _count_skipped(run, losses[checked:], skipped)
    total, *parts_of_loss = torch.stack(losses).double().nanmean(0).tolist()
    if math.isnan(total):
        raise _diverged(run)
    run.epoch += 1
    return EpochLoss(total, dict(zip(PARTS, parts_of_loss, strict=False)))


def take_step(
    run: Run, waveform: Tensor, picture: Tensor, targets: Tensor, recipe: Recipe
) -> Tensor:
    """Train on one batch, without waiting for the device.

    If the loss or a gradient is not finite, the weights and the batch statistics stay as they were;
    schedule and average advance.

    Parameters
    ----------
    waveform : (batch, samples) for the teacher; unused without one
    picture : (batch, 1, mels, frames) normalised log-mel spectrograms
    targets : (batch, classes) probabilities

    Returns
    -------
    The loss and, in a distilled run, its parts, (1,) or (4,), on the device; NaN if the step was
    skipped.
    """

    def work(waveform: Tensor, picture: Tensor, targets: Tensor) -> Tensor:
        return _gradients(run, waveform, picture, targets, recipe)

    # Smaller batches, at the end of an epoch, are not worth a graph.
    if run.graphs and len(picture) == recipe.batch:
        inputs, statistics = (waveform, picture, targets), list(run.model.buffers())
        losses = run.graphs.run(work, inputs, run.precision, statistics)
    else:
        losses = work(waveform, picture, targets)
    # The optimiser skips its step where this is 1; a gradient scaler uses it in the same way.
    run.optimiser.found_inf = losses[0].isnan().float()  # type: ignore[attr-defined]
    run.optimiser.step()
    run.schedule.step()
    if recipe.ema:
        update_average(run.average, run.model, recipe.ema)
    return losses


def _gradients(
    run: Run, waveform: Tensor, picture: Tensor, targets: Tensor, recipe: Recipe
) -> Tensor:
    """Compute the gradients of one batch, and return what `loss_of` returns.

    This does not wait for the device and changes nothing outside the model but the gradients.

    If the loss or a gradient is not finite, the result is NaN and the batch statistics stay as they
    were.
    """
    # A CUDA graph needs the gradients at the same addresses.
    run.optimiser.zero_grad(set_to_none=picture.device.type == "cpu")
    statistics = [buffer.clone() for buffer in run.model.buffers()]
    with torch.no_grad():
        knowledge = run.distiller(waveform) if run.distiller else None
    losses = loss_of(run, picture, targets, recipe, knowledge)
    losses[0].backward()
    gradients = [p.grad for group in run.optimiser.param_groups for p in group["params"]]
    norm = torch.nn.utils.get_total_norm(gradients)
    losses = losses.detach()
    finite = torch.isfinite(losses[0] + norm)
    for buffer, before in zip(run.model.buffers(), statistics, strict=True):
        buffer.copy_(torch.where(finite, buffer, before))
    return torch.where(finite, losses, torch.full_like(losses, math.nan))


def _count_skipped(run: Run, losses: list[Tensor], before: int) -> int:
    """Count the skipped steps of an epoch, and change from bf16 to fp32 at the second.

    Parameters
    ----------
    losses : what `take_step` returned since the last call
    before : what the last call returned in this epoch, 0 at its start

    Returns
    -------
    The skipped steps of the epoch so far; 0 after a change to fp32, because the steps in bf16 say
    nothing about fp32.

    Raises
    ------
    Diverged
        More than the tolerated steps were skipped, and the run is in fp32 already.
    """
    if not losses:
        return before
    skipped = before + int(torch.stack(losses)[:, 0].isnan().sum())
    run.skipped_steps += skipped - before
    if skipped == before or skipped <= TOLERATED_STEPS:
        return skipped
    if run.precision == "fp32":
        raise _diverged(run)
    logger.warning(
        "Epoch %d: skipped %d steps with non-finite values in bf16; training continues in fp32.",
        run.epoch + 1,
        skipped,
    )
    run.precision = "fp32"
    return 0


def _diverged(run: Run) -> Diverged:
    return Diverged(
        f"The loss in epoch {run.epoch + 1} is not finite in {run.precision}. "
        "Try a lower learning_rate."
    )


def loss_of(
    run: Run, picture: Tensor, targets: Tensor, recipe: Recipe, knowledge: Knowledge | None = None
) -> Tensor:
    """Return the loss: the mean cross-entropy with label smoothing, or that of distillation.

    Parameters
    ----------
    picture : (batch, 1, mels, frames) normalised log-mel spectrograms
    targets : (batch, classes) probabilities
    knowledge : what the teacher makes of the batch, in a distilled run

    Returns
    -------
    (1,) the loss, or (4,) the loss of distillation and its parts
    """
    with torch.autocast(picture.device.type, torch.bfloat16, enabled=run.precision == "bf16"):
        output = run.model(picture.contiguous(memory_format=torch.channels_last))
    if run.distiller and knowledge:
        return run.distiller.losses(output, targets, knowledge, recipe)
    logits = output.logits.float()
    return F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)[None]


@torch.inference_mode()
def predict(
    model: AudioCNN, log_mel: LogMel, samples: Tensor, rows: Tensor, recipe: Recipe, precision: str
) -> Tensor:
    """Return the logits of windows without augmentation.

    A batch that is not finite in bf16 is computed again in fp32.

    Parameters
    ----------
    samples : (windows, samples) int16
    rows : (rows,) int64 indices of the windows to predict

    Returns
    -------
    (rows, classes) float32 on the CPU
    """
    device = model.fc.weight.device
    model.eval()
    logits = []
    for part in batches(samples, rows, 2 * recipe.batch, device):
        picture = log_mel(to_float(part)).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            found = model(picture).logits.float().cpu()
        logits.append(found if torch.isfinite(found).all() else model(picture).logits.cpu())
    return torch.cat(logits)


@torch.inference_mode()
def decibel_statistics(
    log_mel: LogMel, samples: Tensor, rows: Tensor, batch: int
) -> tuple[float, float]:
    """Return the mean and standard deviation in dB over all log-mel cells of some windows.

    Parameters
    ----------
    samples : (windows, samples) int16
    rows : (rows,) int64 indices of the windows to measure
    """
    count, total, squares = 0, 0.0, 0.0
    for part in batches(samples, rows, batch, log_mel.bank.device):
        decibels = log_mel.decibels(to_float(part)).double()
        count += decibels.numel()
        total += decibels.sum().item()
        squares += decibels.square().sum().item()
    mean = total / count
    return mean, (squares / count - mean**2) ** 0.5
