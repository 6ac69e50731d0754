"""Fit the teacher's head to the classes, and optionally fine-tune the teacher."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from training.augment import augmented_waveform
from training.batches import batches
from training.config import Recipe, unmixed
from training.data.windows import Windows, to_float
from training.distil.distiller import MIN_DEVIATION, Distiller

# Passes over the augmented training sounds for the head: every other one without mixing, the last
# on whole clips. Chosen by cross-validation over folds 1 to 3, see training/LOG.md.
PASSES = 8
# L2 penalty on the weights of the head, and steps of its optimiser.
PENALTY = 1e-2
HEAD_STEPS = 60
FINE_TUNING_RATE = 3e-4


def fit_head(distiller: Distiller, recipe: Recipe, windows: Windows, rows: Tensor) -> None:
    """Fit the head, and the mean and deviation of the features, on augmented sounds.

    The head is a multinomial logistic regression. It is fitted on mixed sounds, so that it also
    says what is in a mixture, and on unmixed ones, or it would be worse at single sounds.

    Parameters
    ----------
    rows : (rows,) int64 indices of the windows to fit on
    """
    _fit(distiller, *_features(distiller, recipe, windows, rows))


@torch.no_grad()
def _features(
    distiller: Distiller, recipe: Recipe, windows: Windows, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the teacher's features (n, size) of augmented sounds and their targets (n, classes).

    Each row is augmented PASSES times, so n is PASSES * len(rows).
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    features, targets = [], []
    for number in range(PASSES):
        how, progress = unmixed(recipe) if number % 2 else recipe, number / (PASSES - 1)
        for waveform, mixed in _augmented(distiller, how, windows, rows, progress, generator):
            features.append(distiller.teacher(waveform))
            targets.append(mixed)
    return torch.cat(features), torch.cat(targets)


def _fit(distiller: Distiller, features: Tensor, targets: Tensor) -> None:
    """Fit the statistics and the head to features (n, size) and probabilities (n, classes)."""
    distiller.mean.copy_(features.mean(0))
    distiller.deviation.copy_(features.std(0))
    standardised = distiller.standardised(features)
    head = distiller.head.requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        head.parameters(), max_iter=HEAD_STEPS, line_search_fn="strong_wolfe"
    )

    def loss() -> float:
        optimiser.zero_grad()
        value = F.cross_entropy(head(standardised), targets) + PENALTY * head.weight.square().sum()
        value.backward()
        return value.item()

    optimiser.step(loss)
    head.requires_grad_(False)


def fine_tune(distiller: Distiller, recipe: Recipe, windows: Windows, rows: Tensor) -> None:
    """Train the teacher and its head for `recipe.teacher_epochs` epochs of augmented sounds.

    Parameters
    ----------
    rows : (rows,) int64 indices of the windows to train on
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    steps = recipe.teacher_epochs * -(-len(rows) // recipe.batch)
    trained = [*distiller.teacher.parameters(), *distiller.head.parameters()]
    for parameter in trained:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(trained, lr=FINE_TUNING_RATE, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, FINE_TUNING_RATE, steps)
    for epoch in range(recipe.teacher_epochs):
        progress = epoch / recipe.teacher_epochs
        for waveform, targets in _augmented(distiller, recipe, windows, rows, progress, generator):
            optimiser.zero_grad()
            F.cross_entropy(distiller(waveform).logits, targets).backward()
            optimiser.step()
            schedule.step()
    for parameter in trained:
        parameter.requires_grad_(False)
    update_statistics(distiller, recipe, windows, rows)


@torch.no_grad()
def update_statistics(distiller: Distiller, recipe: Recipe, windows: Windows, rows: Tensor) -> None:
    """Measure the mean and deviation of the features again, after the teacher has changed.

    The head is adapted, so that its logits stay the same.

    Parameters
    ----------
    rows : (rows,) int64 indices of the windows to measure
    """
    features, _ = _features(distiller, recipe, windows, rows)
    mean, deviation = features.mean(0), features.std(0)
    before = distiller.deviation.clamp_min(MIN_DEVIATION)
    head = distiller.head
    head.bias.add_(head.weight @ ((mean - distiller.mean) / before))
    head.weight.mul_(deviation.clamp_min(MIN_DEVIATION) / before)
    distiller.mean.copy_(mean)
    distiller.deviation.copy_(deviation)


@torch.inference_mode()
def accuracy(distiller: Distiller, recipe: Recipe, windows: Windows, rows: Tensor) -> float:
    """Return the share, 0 to 1, of windows without augmentation whose class the head predicts."""
    device = distiller.mean.device
    right = 0
    for part, chosen in zip(
        batches(windows.samples, rows, recipe.batch, device), rows.split(recipe.batch), strict=True
    ):
        predicted = distiller(to_float(part)).logits.argmax(1).cpu()
        right += int((predicted == windows.labels[chosen]).sum())
    return right / len(rows)


def _augmented(
    distiller: Distiller,
    recipe: Recipe,
    windows: Windows,
    rows: Tensor,
    progress: float,
    generator: torch.Generator,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the augmented waveforms and targets of one epoch, in random order."""
    device, classes = distiller.mean.device, distiller.head.out_features
    order = rows[torch.randperm(len(rows), generator=generator)]
    parts = batches(windows.samples, order, recipe.batch, device)
    for part, chosen in zip(parts, order.split(recipe.batch), strict=True):
        targets = F.one_hot(windows.labels[chosen], classes).float().to(device)
        rate = distiller.teacher.mel.sample_rate
        yield augmented_waveform(to_float(part), targets, recipe, rate, progress, generator)
