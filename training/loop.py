"""The training loop: one epoch of training, and the state that a restart needs."""

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.features import LogMel
from ml.model import AudioCNN
from training.augment import augmented_picture, augmented_waveform
from training.config import Recipe
from training.data.windows import to_float
from training.distil.distiller import Distiller, Knowledge

logger = logging.getLogger(__name__)


# Non-finite steps that are tolerated in an epoch. One more ends the use of bf16, or the run.
TOLERATED_STEPS = 1


class Diverged(Exception):
    """The loss or its gradients are not finite in fp32."""


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
    """

    model: AudioCNN
    average: AudioCNN
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    distiller: Distiller | None = None
    precision: str = "fp32"
    skipped_steps: int = 0
    epoch: int = 0
    best_epoch: int = 0
    best_accuracy: float = -1.0

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
        fused=device.type == "cuda",
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        recipe.learning_rate,
        total_steps=recipe.epochs * steps_per_epoch,
        pct_start=recipe.warm_up,
    )
    generator = torch.Generator().manual_seed(recipe.seed)
    average = copy.deepcopy(model) if recipe.ema else model
    return Run(model, average, optimiser, schedule, generator, distiller, recipe.precision)


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Update the moving average: its weights move towards the model's, its buffers are copied.

    Parameters
    ----------
    decay : share of the average that is kept, 0 to 1
    """
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
    torch._foreach_copy_(list(average.buffers()), list(model.buffers()))


def move_to_gpu(samples: Tensor, device: torch.device) -> Tensor:
    """Return `samples` in GPU memory if they take less than half of what is free there.

    Otherwise, and on a CPU, return them unchanged.
    """
    if device.type != "cuda":
        return samples
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return samples.to(device) if 2 * samples.nbytes < free_bytes else samples


def batches(samples: Tensor, order: Tensor, batch: int, device: torch.device) -> Iterator[Tensor]:
    """Yield `samples[order]` in batches on `device`; a thread fetches the next batch meanwhile.

    Parameters
    ----------
    samples : (windows, samples) int16, on the CPU or on `device`
    order : (rows,) int64 indices into `samples`
    batch : rows in one batch

    Yields
    ------
    (batch, samples) int16; the last batch may be smaller
    """

    def fetch(rows: Tensor) -> Tensor:
        part = samples[rows.to(samples.device)]
        if device.type == "cuda" and part.device.type == "cpu":
            part = part.pin_memory()
        return part.to(device, non_blocking=True)

    with ThreadPoolExecutor(1) as ahead:
        waiting: Future[Tensor] | None = None
        for rows in order.split(batch):
            ready, waiting = waiting, ahead.submit(fetch, rows)
            if ready is not None:
                yield ready.result()
        if waiting is not None:
            yield waiting.result()


def train_epoch(
    run: Run,
    recipe: Recipe,
    log_mel: LogMel,
    samples: Tensor,
    labels: Tensor,
    rows: Tensor,
    on_step: Callable[[int, Tensor], None],
) -> float:
    """Train for one epoch and return the mean loss of its steps.

    A step whose loss or gradients are not finite changes no weights and does not count in the
    mean. One such step in an epoch is tolerated; at the second, bf16 is replaced by fp32.

    Parameters
    ----------
    samples : (windows, samples) int16
    labels : (windows,) int64
    rows : (rows,) int64 indices of the windows to train on
    on_step : called after each step with its number and its loss, a scalar still on the device

    Raises
    ------
    Diverged
        More than one step is not finite in fp32, or no step of the epoch is finite.
    """
    device = run.model.fc.weight.device
    order = rows[torch.randperm(len(rows), generator=run.generator)]
    progress = run.epoch / recipe.epochs
    run.model.train()
    losses = []
    skipped_before = run.skipped_steps
    parts = zip(
        batches(samples, order, recipe.batch, device), order.split(recipe.batch), strict=True
    )
    for step, (part, chosen) in enumerate(parts):
        targets = F.one_hot(labels[chosen], run.model.fc.out_features).float().to(device)
        rate = log_mel.config.sample_rate
        waveform, targets = augmented_waveform(
            to_float(part), targets, recipe, rate, progress, run.generator
        )
        picture = augmented_picture(waveform, recipe, log_mel, run.generator)
        knowledge = run.distiller(waveform) if run.distiller else None
        loss = take_step(run, picture, targets, recipe, knowledge)
        if loss is None:
            _on_skipped(run, run.skipped_steps - skipped_before)
            continue
        losses.append(loss)
        on_step(step, loss)
    if not losses:
        raise _diverged(run)
    run.epoch += 1
    return torch.stack(losses).double().mean().item()


def take_step(
    run: Run, picture: Tensor, targets: Tensor, recipe: Recipe, knowledge: Knowledge | None = None
) -> Tensor | None:
    """Train on one batch.

    If the loss or a gradient is not finite, the weights, the average and the batch statistics
    stay as they were, and only the schedule advances.

    Parameters
    ----------
    picture : (batch, 1, mels, frames) normalised log-mel spectrograms
    targets : (batch, classes) probabilities
    knowledge : what the teacher makes of the batch, in a distilled run

    Returns
    -------
    The loss, a scalar on the device, or None if the step was skipped.
    """
    statistics = [buffer.clone() for buffer in run.model.buffers()]
    loss = loss_of(run, picture, targets, recipe, knowledge)
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    trained = (p for group in run.optimiser.param_groups for p in group["params"])
    gradients = [p.grad for p in trained if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    finite = bool(torch.isfinite(loss.detach() + norm))
    if finite:
        run.optimiser.step()
    else:
        run.skipped_steps += 1
        torch._foreach_copy_(list(run.model.buffers()), statistics)
    with warnings.catch_warnings():
        # PyTorch warns if the very first optimiser step was skipped.
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
        run.schedule.step()
    if not finite:
        return None
    if recipe.ema:
        update_average(run.average, run.model, recipe.ema)
    return loss.detach()


def _on_skipped(run: Run, in_this_epoch: int) -> None:
    """Tolerate one skipped step in an epoch; at the second, change from bf16 to fp32.

    Raises Diverged if the run is in fp32 already.
    """
    if in_this_epoch <= TOLERATED_STEPS:
        return
    if run.precision == "fp32":
        raise _diverged(run)
    logger.warning(
        "Epoch %d: %d steps were not finite in bf16 and were skipped; training continues in fp32.",
        run.epoch + 1,
        in_this_epoch,
    )
    run.precision = "fp32"


def _diverged(run: Run) -> Diverged:
    return Diverged(
        f"The loss of epoch {run.epoch + 1} is not finite in {run.precision}. "
        "Try a lower learning_rate."
    )


def loss_of(
    run: Run, picture: Tensor, targets: Tensor, recipe: Recipe, knowledge: Knowledge | None = None
) -> Tensor:
    """Return the mean cross-entropy with label smoothing, or the loss of distillation: a scalar.

    Parameters
    ----------
    picture : (batch, 1, mels, frames) normalised log-mel spectrograms
    targets : (batch, classes) probabilities
    knowledge : what the teacher makes of the batch, in a distilled run
    """
    with torch.autocast(picture.device.type, torch.bfloat16, enabled=run.precision == "bf16"):
        output = run.model(picture.contiguous(memory_format=torch.channels_last))
    if run.distiller and knowledge:
        return run.distiller.loss(output, targets, knowledge, recipe)
    return F.cross_entropy(output.logits.float(), targets, label_smoothing=recipe.label_smoothing)


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
