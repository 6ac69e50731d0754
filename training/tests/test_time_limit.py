"""Tests of the time limit, with a fake clock."""

import dataclasses

import pytest
import torch

from training import loop
from training.config import Recipe
from training.loop import Run
from training.time_limit import MARGIN, TimeLimit, epochs_in_time

CROPS = Recipe(epochs=100_000, crop_s=2.5, crop_share=0.9)
WHOLE = Recipe(epochs=100_000, crop_share=0.0)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def model_run() -> Run:
    return loop.start(dataclasses.replace(CROPS, epochs=5000), 2, 3, torch.device("cpu"))


def simulate(
    run: Run, recipe: Recipe, limit_s: float, crop_epoch_s: float, first_epochs_s: float = 0.0
) -> float:
    """Let epochs pass on a fake clock until the run is over, and return its duration in seconds.

    Epochs on whole clips take twice as long as those on crops. The first three take
    `first_epochs_s` more.
    """
    clock = Clock()
    limit = TimeLimit(limit_s, clock)
    clock.now_s += 5.0  # reading the data
    limit.start_training()
    while run.epoch < run.epochs:
        whole = run.progress >= recipe.crop_share > 0
        clock.now_s += crop_epoch_s * (2 if whole else 1)
        clock.now_s += first_epochs_s if run.epoch < 3 else 0.0
        run.epoch += 1
        limit.after_epoch(run, recipe, window_s=5.0)
    return clock.now_s - 1000.0


@pytest.mark.parametrize("recipe", [CROPS, WHOLE])
@pytest.mark.parametrize(
    ("limit_s", "epoch_s"), [(540.0, 0.25), (540.0, 8.0), (3600.0, 20.0), (120.0, 10.0)]
)
def test_the_run_uses_its_time_and_ends_within_it(
    model_run: Run, recipe: Recipe, limit_s: float, epoch_s: float
) -> None:
    run = dataclasses.replace(model_run, epoch=0, epochs=5000, timed=False)
    took_s = simulate(run, recipe, limit_s, epoch_s)
    assert took_s <= limit_s
    assert took_s > (1 - MARGIN) * limit_s - 2 * epoch_s - 1


def test_two_slow_epochs_are_enough_to_decide(model_run: Run) -> None:
    run = dataclasses.replace(model_run, epoch=0, epochs=5000, timed=False)
    assert simulate(run, WHOLE, 120.0, 20.0) <= 120
    assert run.epochs == 5


def test_slow_first_epochs_do_not_count_for_the_rest(model_run: Run) -> None:
    run = dataclasses.replace(model_run, epoch=0, epochs=5000, timed=False)
    took_s = simulate(run, CROPS, 540.0, 0.5, first_epochs_s=4.0)
    assert 500 < took_s <= 540


def test_a_recipe_that_fits_keeps_its_epochs(model_run: Run) -> None:
    run = dataclasses.replace(model_run, epoch=0, epochs=20, timed=False)
    recipe = dataclasses.replace(CROPS, epochs=20)
    simulate(run, recipe, 540.0, 0.5)
    assert run.epochs == 20


def test_a_limit_that_is_over_already_leaves_one_epoch_to_anneal() -> None:
    assert epochs_in_time(4, -30.0, 10.0, CROPS, 5.0) == 5


def test_the_length_is_decided_once(model_run: Run) -> None:
    clock = Clock()
    run = dataclasses.replace(model_run, epoch=0, epochs=5000, timed=False)
    limit = TimeLimit(100.0, clock)  # four epochs are enough
    decided = []
    for _ in range(8):
        clock.now_s += 2.0
        run.epoch += 1
        decided.append(limit.after_epoch(run, CROPS, 5.0))
    assert decided == [False, False, False, True, False, False, False, False]
    resumed = dataclasses.replace(model_run, epoch=0, epochs=1, timed=False)
    resumed.restore(run.state())
    assert (resumed.epochs, resumed.timed) == (run.epochs, True)
    assert not TimeLimit(1.0, clock).after_epoch(resumed, CROPS, 5.0)


def test_a_shortened_schedule_goes_on_from_its_step_and_falls_to_its_end() -> None:
    recipe = Recipe(epochs=100, warm_up=0.2)
    run = loop.start(recipe, 2, 5, torch.device("cpu"))
    run.optimiser.step()
    for _ in range(4 * 5):
        run.schedule.step()
    loop.shorten(run, recipe, 20)
    assert run.schedule.last_epoch == 20
    rates = []
    for _ in range(16 * 5 - 1):
        run.schedule.step()
        rates.append(run.schedule.get_last_lr()[0])
    whole = loop.start(dataclasses.replace(recipe, epochs=20), 2, 5, torch.device("cpu"))
    whole.optimiser.step()
    expected = []
    for _ in range(20 * 5 - 1):
        whole.schedule.step()
        expected.append(whole.schedule.get_last_lr()[0])
    assert rates == pytest.approx(expected[20:])
    assert rates[-1] < 1e-4 * recipe.learning_rate
    assert run.schedule.total_steps == 20 * 5
