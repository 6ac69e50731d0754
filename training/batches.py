"""Which windows an epoch trains on, and their way to the device in batches."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor
from torch.nn import functional as F

from training.config import Recipe
from training.draws import copied


def move_to_gpu(samples: Tensor, device: torch.device) -> Tensor:
    """Return `samples` in GPU memory if they take less than half of what is free there.

    Otherwise, and on a CPU, return them unchanged.
    """
    if device.type != "cuda":
        return samples
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return samples.to(device) if 2 * samples.nbytes < free_bytes else samples


def batches(samples: Tensor, order: Tensor, batch: int, device: torch.device) -> Iterator[Tensor]:
    """Yield `samples[order]` in batches on `device`.

    Samples that are not in a GPU's memory are fetched one batch ahead, by a thread.

    Parameters
    ----------
    samples : (windows, samples) int16, on the CPU or on `device`
    order : (rows,) int64 indices into `samples`
    batch : rows in one batch

    Yields
    ------
    (batch, samples) int16; the last batch may be smaller
    """

    if samples.device.type == "cuda":
        for rows in copied(order, samples.device).split(batch):
            yield samples[rows]
        return

    def fetch(rows: Tensor) -> Tensor:
        part = samples[rows]
        if device.type == "cuda":
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


def unlabelled_in_epoch(rows: Tensor, unlabelled: Tensor, recipe: Recipe) -> int:
    """Return the number of windows without a label in each epoch.

    Parameters
    ----------
    rows, unlabelled : (n,) indices of the windows with and without a label
    """
    return min(round(recipe.unlabelled_share * len(rows)), len(unlabelled))


def rows_of_epoch(
    rows: Tensor, unlabelled: Tensor, recipe: Recipe, generator: torch.Generator
) -> Tensor:
    """Return `rows`, and the recipe's share of the windows without a label, drawn at random.

    Parameters
    ----------
    rows, unlabelled : (n,) int64 indices of the windows with and without a label
    """
    count = unlabelled_in_epoch(rows, unlabelled, recipe)
    if not count:  # the random numbers stay those of a run without such sounds
        return rows
    drawn = torch.randperm(len(unlabelled), generator=generator)[:count]
    return torch.cat([rows, unlabelled[drawn]])


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return the targets (windows, classes) float32: zeros for a window without a label."""
    return F.one_hot(labels.clamp_min(0), classes).float() * (labels >= 0)[:, None]
