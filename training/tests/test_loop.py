import copy
import io
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from ml.checkpoint_info import FeatureConfig
from ml.features import LogMel
from tests import fixtures
from training import batches, loop
from training.config import Recipe
from training.data.windows import to_float
from training.loop import Diverged, Run

CPU = torch.device("cpu")
FEATURES = FeatureConfig(window_s=0.5, mean_db=-50.0, deviation_db=25.0)
RECIPE = Recipe(epochs=2, batch=4, mixup_share=1.0)


@pytest.fixture(scope="module")
def log_mel() -> LogMel:
    return LogMel(FEATURES)


@pytest.fixture(scope="module")
def samples() -> Tensor:
    """Four tones, then four hisses."""
    tones = [fixtures.tone(400 * (n + 1), 0.5) for n in range(4)]
    hisses = [fixtures.noise(0.5, seed=n) for n in range(4)]
    return torch.from_numpy(np.stack([*tones, *hisses]) * 32767).to(torch.int16)


LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
ROWS = torch.arange(8)


def train(run: Run, recipe: Recipe, log_mel: LogMel, samples: Tensor, epochs: int) -> list[float]:
    return [
        loop.train_epoch(run, recipe, log_mel, samples, LABELS, ROWS, lambda step, loss: None).total
        for _ in range(epochs)
    ]


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_a_resumed_run_gives_the_same_result_as_an_uninterrupted_one(
    log_mel: LogMel, samples: Tensor
) -> None:
    straight = loop.start(RECIPE, 2, 2, CPU)
    straight_losses = train(straight, RECIPE, log_mel, samples, 2)

    stopped = loop.start(RECIPE, 2, 2, CPU)
    first = train(stopped, RECIPE, log_mel, samples, 1)
    disk = io.BytesIO()
    torch.save(stopped.state(), disk)
    disk.seek(0)
    torch.manual_seed(99)  # a new process has another random state
    resumed = loop.start(Recipe(epochs=2, batch=4, seed=77), 2, 2, CPU)
    resumed.restore(torch.load(disk, weights_only=True))
    assert resumed.epoch == 1
    second = train(resumed, RECIPE, log_mel, samples, 1)

    assert [*first, *second] == straight_losses
    assert resumed.epoch == straight.epoch == 2
    assert_same_weights(resumed.model, straight.model)
    assert_same_weights(resumed.average, straight.average)


def test_the_seed_determines_the_run(log_mel: LogMel, samples: Tensor) -> None:
    losses = []
    for seed in (1, 1, 2):
        recipe = Recipe(epochs=1, batch=4, seed=seed)
        losses += train(loop.start(recipe, 2, 2, CPU), recipe, log_mel, samples, 1)
    assert losses[0] == losses[1] != losses[2]


def test_it_learns_to_tell_a_tone_from_a_hiss(log_mel: LogMel, samples: Tensor) -> None:
    recipe = Recipe(
        epochs=8, batch=8, learning_rate=3e-4, mixup_share=0.0, masks=0, label_smoothing=0.0
    )
    losses = train(loop.start(recipe, 2, 1, CPU), recipe, log_mel, samples, recipe.epochs)
    assert losses[0] > 0.5
    assert losses[-1] < 0.2


def test_it_reports_every_step_and_the_mean_of_their_losses(
    log_mel: LogMel, samples: Tensor
) -> None:
    run = loop.start(Recipe(epochs=1, batch=3), 2, 3, CPU)
    steps: list[tuple[int, float]] = []
    mean = loop.train_epoch(
        run, Recipe(batch=3), log_mel, samples, LABELS, ROWS,
        lambda step, loss: steps.append((step, loss.item())),
    )  # fmt: skip
    assert [step for step, _ in steps] == [0, 1, 2]
    assert mean.total == pytest.approx(np.mean([loss for _, loss in steps]))
    assert run.epoch == 1


def test_the_average_moves_slowly_and_copies_the_statistics() -> None:
    run = loop.start(RECIPE, 2, 1, CPU)
    with torch.no_grad():
        run.model.fc.weight.add_(1.0)
        run.model.get_buffer("conv1.1.running_mean").add_(1.0)
    before = run.average.fc.weight.clone()
    loop.update_average(run.average, run.model, 0.9)
    assert torch.allclose(run.average.fc.weight, before + 0.1, atol=1e-6)
    statistics = [net.get_buffer("conv1.1.running_mean") for net in (run.average, run.model)]
    assert torch.equal(*statistics)


def test_only_matrices_are_decayed() -> None:
    run = loop.start(RECIPE, 2, 1, CPU)
    groups = {group["weight_decay"]: group["params"] for group in run.optimiser.param_groups}
    assert set(groups) == {0.0, RECIPE.weight_decay}
    assert all(p.ndim > 1 for p in groups[RECIPE.weight_decay])
    assert all(p.ndim == 1 for p in groups[0.0])
    assert sum(map(len, groups.values())) == len(list(run.model.parameters()))


@pytest.mark.parametrize("batch", [3, 8])
def test_decibel_statistics_make_the_training_set_zero_mean_and_unit_deviation(
    samples: Tensor, batch: int
) -> None:
    plain = LogMel(FeatureConfig(window_s=0.5))
    mean_db, deviation_db = loop.decibel_statistics(plain, samples, ROWS, batch)
    normalised = LogMel(FeatureConfig(window_s=0.5, mean_db=mean_db, deviation_db=deviation_db))(
        to_float(samples)
    )
    assert float(normalised.mean()) == pytest.approx(0.0, abs=1e-3)
    assert float(normalised.std()) == pytest.approx(1.0, abs=1e-3)


def test_it_trains_only_on_the_given_rows(log_mel: LogMel, samples: Tensor) -> None:
    run = loop.start(Recipe(epochs=1, batch=2), 2, 2, CPU)
    spoilt = samples.clone()
    spoilt[4:] = 0
    losses = []
    for sounds in (samples, spoilt):
        run = loop.start(Recipe(epochs=1, batch=2), 2, 2, CPU)
        losses.append(
            loop.train_epoch(
                run, Recipe(epochs=1, batch=2), log_mel, sounds, LABELS, torch.arange(4),
                lambda step, loss: None,
            )
        )  # fmt: skip
    assert losses[0] == losses[1]


def test_without_an_average_the_weights_themselves_are_shipped() -> None:
    run = loop.start(Recipe(ema=0.0), 2, 1, CPU)
    assert run.average is run.model


def test_predictions_do_not_depend_on_the_batch_size(log_mel: LogMel, samples: Tensor) -> None:
    run = loop.start(RECIPE, 2, 2, CPU)
    rows = torch.tensor([6, 1, 3])
    one, other = (
        loop.predict(run.model, log_mel, samples, rows, Recipe(batch=batch), "fp32")
        for batch in (1, 8)
    )
    assert one.shape == (3, 2)
    assert torch.allclose(one, other, atol=1e-4)


def test_a_loss_that_is_nan_stops_the_run(log_mel: LogMel, samples: Tensor) -> None:
    run = loop.start(RECIPE, 2, 2, CPU)
    with torch.no_grad():
        run.model.fc.weight.fill_(float("nan"))
    with pytest.raises(Diverged, match="learning_rate"):
        train(run, RECIPE, log_mel, samples, 1)


# --- NaN and infinity ---------------------------------------------------------------------


def fail_at(run: Run, calls: set[int], value: float, only_bf16: bool = False) -> None:
    """Put `value` into an activation of layer4 in these forward passes, counted from 0."""
    count = itertools.count()

    def inject(module: object, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if next(count) not in calls or (only_bf16 and output.dtype != torch.bfloat16):
            return output
        broken = output.clone()
        broken[0, 0, 0, 0] = value
        return broken

    run.model.layer4[0].get_submodule("conv1").register_forward_hook(inject)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_is_skipped_and_counted(
    log_mel: LogMel, samples: Tensor, value: float
) -> None:
    run = loop.start(RECIPE, 2, 2, CPU)
    fail_at(run, {1}, value)
    losses = train(run, RECIPE, log_mel, samples, 2)
    assert np.isfinite(losses).all()
    assert (run.skipped_steps, run.precision) == (1, "bf16")
    for network in (run.model, run.average):
        for name, tensor in network.state_dict().items():
            assert torch.isfinite(tensor).all(), name


def test_a_skipped_step_changes_no_weight_and_no_statistic(
    log_mel: LogMel, samples: Tensor
) -> None:
    run = loop.start(RECIPE, 2, 2, CPU)
    fail_at(run, {0}, float("nan"))
    before = copy.deepcopy(run.model)
    targets = torch.eye(2)[LABELS[:4]]
    waveform = to_float(samples[:4])
    (loss,) = loop.take_step(run, waveform, log_mel(waveform), targets, RECIPE)
    assert torch.isnan(loss)
    assert all(float(state["step"]) == 0 for state in run.optimiser.state.values())
    assert_same_weights(run.model, before)
    assert run.schedule.last_epoch == 1, "the schedule advances, so that it ends with the run"


def test_training_continues_in_fp32_when_bf16_fails_again(
    log_mel: LogMel, samples: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = Recipe(epochs=3, batch=2)
    run = loop.start(recipe, 2, 4, CPU)
    fail_at(run, set(range(99)), float("nan"), only_bf16=True)
    losses = train(run, recipe, log_mel, samples, 3)
    assert np.isfinite(losses).all()
    assert (run.skipped_steps, run.precision) == (2, "fp32")
    assert [record.message for record in caplog.records] == [
        "Epoch 1: skipped 2 steps with non-finite values in bf16; training continues in fp32."
    ]
    resumed = loop.start(recipe, 2, 4, CPU)
    resumed.restore(run.state())
    assert (resumed.skipped_steps, resumed.precision) == (2, "fp32"), "also after a restart"


def test_skipped_steps_are_counted_anew_in_fp32(log_mel: LogMel, samples: Tensor) -> None:
    recipe = Recipe(epochs=1, batch=2)
    run = loop.start(recipe, 2, 4, CPU)
    fail_at(run, {0, 1, 2}, float("nan"))
    losses = train(run, recipe, log_mel, samples, 1)
    assert np.isfinite(losses).all()
    assert (run.skipped_steps, run.precision) == (3, "fp32")


def test_a_run_that_also_fails_in_fp32_has_diverged(log_mel: LogMel, samples: Tensor) -> None:
    recipe = Recipe(epochs=1, batch=2, precision="fp32")
    run = loop.start(recipe, 2, 4, CPU)
    fail_at(run, {1, 2}, float("inf"))
    with pytest.raises(Diverged, match="fp32"):
        train(run, recipe, log_mel, samples, 1)


def test_a_measurement_that_is_not_finite_is_computed_again_in_fp32(
    log_mel: LogMel, samples: Tensor
) -> None:
    run = loop.start(RECIPE, 2, 2, CPU)
    exact = loop.predict(run.model, log_mel, samples, ROWS, RECIPE, "fp32")
    fail_at(run, set(range(99)), float("nan"), only_bf16=True)
    assert torch.equal(loop.predict(run.model, log_mel, samples, ROWS, RECIPE, "bf16"), exact)


# --- sounds without labels ----------------------------------------------------------------


@pytest.mark.parametrize(("share", "more"), [(0.25, 2), (0.5, 4), (1.0, 5)])
def test_an_epoch_has_the_share_of_windows_without_a_label(
    share: float, more: int, generator: torch.Generator
) -> None:
    recipe, unlabelled = Recipe(unlabelled_share=share), torch.arange(8, 13)
    drawn = batches.rows_of_epoch(ROWS, unlabelled, recipe, generator)
    assert len(drawn) == 8 + more == 8 + batches.unlabelled_in_epoch(ROWS, unlabelled, recipe)
    assert torch.equal(drawn[:8], ROWS)
    added = drawn[8:].tolist()
    assert len(set(added)) == more, "without replacement"
    assert set(added) <= set(unlabelled.tolist())


def test_each_epoch_draws_other_windows_without_a_label(generator: torch.Generator) -> None:
    recipe, unlabelled = Recipe(unlabelled_share=0.5), torch.arange(8, 108)
    first, second = (batches.rows_of_epoch(ROWS, unlabelled, recipe, generator) for _ in range(2))
    assert first.tolist() != second.tolist()


def test_without_a_share_no_random_number_is_drawn(generator: torch.Generator) -> None:
    before = generator.get_state()
    rows = batches.rows_of_epoch(ROWS, torch.arange(8, 13), Recipe(), generator)
    assert torch.equal(rows, ROWS)
    assert torch.equal(generator.get_state(), before)
