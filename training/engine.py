"""The loop: what one epoch of training does, and what must survive between two."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.features import LogMel
from ml.model import AudioCNN
from training.augment import between_class, change_speed, colour, crop, mask, mixup, shift_and_gain
from training.config import Recipe
from training.dataset import to_float


@dataclass(slots=True)
class Run:
    """Everything that changes while training, and so must survive a kill."""

    model: AudioCNN
    average: AudioCNN
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    epoch: int = 0

    def state(self) -> dict[str, object]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "torch_rng": torch.get_rng_state(),
            "epoch": self.epoch,
        }

    def restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_rng"])
        self.epoch = state["epoch"]


def start(recipe: Recipe, classes: int, steps_per_epoch: int, device: torch.device) -> Run:
    torch.manual_seed(recipe.seed)
    model = AudioCNN(classes).to(device).to(memory_format=torch.channels_last)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        recipe.learning_rate,
        total_steps=recipe.epochs * steps_per_epoch,
        pct_start=recipe.warm_up,
    )
    generator = torch.Generator().manual_seed(recipe.seed)
    return Run(model, copy.deepcopy(model), optimiser, schedule, generator)


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the average's weights towards the model's; its buffers are copied."""
    for mean, new in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(new, 1 - decay)
    for kept, latest in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(latest)


def train_epoch(
    run: Run,
    recipe: Recipe,
    log_mel: LogMel,
    samples: Tensor,
    labels: Tensor,
    on_step: Callable[[int, float], None],
) -> float:
    """samples: (examples, window) int16 · labels: (examples,) int64. Returns the mean loss."""
    device = next(run.model.parameters()).device
    classes = run.model.fc.out_features
    order = torch.randperm(len(samples), generator=run.generator)
    run.model.train()
    losses = []
    for step, rows in enumerate(order.split(recipe.batch)):
        waveform = shift_and_gain(to_float(samples[rows]), recipe.gain_db, run.generator)
        if recipe.speed:
            waveform = change_speed(waveform, recipe.speed, run.generator)
        if run.epoch < recipe.crop_share * recipe.epochs:
            kept = int(recipe.crop_s * log_mel.config.sample_rate)
            waveform = crop(waveform, kept, run.generator)
        targets = F.one_hot(labels[rows], classes).float()
        if recipe.between_class:
            waveform, targets = between_class(waveform, targets, recipe.mixup_share, run.generator)
        else:
            waveform, targets = mixup(waveform, targets, recipe, run.generator)
        picture = log_mel(waveform.to(device))
        if recipe.colour_db:
            picture = colour(picture, recipe.colour_db / log_mel.config.deviation_db, run.generator)
        picture = mask(picture, recipe, run.generator)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = run.model(picture.contiguous(memory_format=torch.channels_last)).logits
        loss = F.cross_entropy(
            logits.float(), targets.to(device), label_smoothing=recipe.label_smoothing
        )
        run.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        run.optimiser.step()
        run.schedule.step()
        follow(run.average, run.model, recipe.ema)
        losses.append(loss.item())
        on_step(step, losses[-1])
    run.epoch += 1
    return sum(losses) / len(losses)


@torch.inference_mode()
def decibel_statistics(log_mel: LogMel, samples: Tensor, batch: int) -> tuple[float, float]:
    """Mean and standard deviation, in dB, over all cells of all examples."""
    count, total, squares = 0, 0.0, 0.0
    for part in samples.split(batch):
        decibels = log_mel.decibels(to_float(part)).double()
        count += decibels.numel()
        total += decibels.sum().item()
        squares += decibels.square().sum().item()
    mean = total / count
    return mean, (squares / count - mean**2) ** 0.5
