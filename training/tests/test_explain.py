import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ml import checkpoint
from ml.checkpoint_info import CHANNELS, CheckpointInfo, FeatureConfig, decoder_path, digest
from ml.explain import decoder_file
from ml.inference import Classifier
from ml.model import AudioCNN
from training.config import changed
from training.explain import __main__ as command
from training.explain import loop
from training.explain.losses import Question, ask, losses
from training.explain.recipe import ExplainRecipe
from training.explain.time_limit import TimeLimit, steps_in_time
from training.explain.windows import compose

FEATURES = FeatureConfig(window_s=0.5, mean_db=-40.0, deviation_db=20.0)
RECIPE = ExplainRecipe(steps=3, batch=2, crop_s=0.3)
ALONE = dataclasses.replace(RECIPE, joined_share=0, mixed_share=0, noise_share=0, quiet_share=0)
SHORT_RUN = ["--set", "steps=3", "--set", "batch=2", "--set", "crop_s=0.3"]


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    torch.manual_seed(2)
    path = tmp_path / "small.safetensors"
    info = CheckpointInfo(("rain", "whistle"), FEATURES, folds_seen=(1, 2))
    checkpoint.save(path, AudioCNN(2).state_dict(), info)
    return path


def sounds(*values: int) -> Tensor:
    return torch.stack([torch.full((1000,), value, dtype=torch.int16) for value in values])


def test_a_decoder_is_trained_beside_its_checkpoint_and_explains(
    trained: Path, esc50: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs" / "explain"
    command.main([str(trained), "--data", str(esc50), "--out", str(out), *SHORT_RUN])
    info = decoder_file.read_header(decoder_path(trained))
    assert info.weights == digest(trained).weights
    assert info.folds_seen == (1, 2)
    assert info.recipe["steps"] == 3
    assert info.figures
    assert info.figures.keys() <= set(loop.FIGURES)
    found = Classifier.load(trained).explain(torch.zeros(8000).numpy(), 0)
    assert found.method == "mask_decoder"
    decoder_path(trained).unlink()
    command.main([str(trained), "--data", str(esc50), "--out", str(out), *SHORT_RUN])
    assert decoder_file.read_header(decoder_path(trained)) == info, "the run was finished"
    with pytest.raises(SystemExit, match="other settings"):
        command.main([str(trained), "--data", str(esc50), "--out", str(out), "--seed", "9"])


def test_training_is_repeatable_and_resumes_as_if_never_interrupted(
    trained: Path, esc50: Path, tmp_path: Path
) -> None:
    options = command.parser().parse_args([str(trained), "--data", str(esc50), *SHORT_RUN])
    options.out = tmp_path / "runs" / "explain"
    plan = command.make_plan(options)
    frozen = command._frozen(plan)
    assert len(frozen.rows) == 20 * 2, "ten windows of half a second per clip, two folds"
    whole, interrupted = (loop.start(2, plan.recipe) for _ in range(2))
    for _ in range(3):
        loop.take_step(whole, frozen)
    for _ in range(2):
        loop.take_step(interrupted, frozen)
    resumed = loop.start(2, plan.recipe)
    resumed.restore(interrupted.state())
    loop.take_step(resumed, frozen)
    before = loop.start(2, plan.recipe).average.state_dict()
    assert resumed.means == whole.means
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name]), name
    assert not torch.equal(before["last.weight"], whole.average.state_dict()["last.weight"])


def test_a_time_limit_shortens_the_schedule() -> None:
    # The first half of the steps take 1 s, the others 2 s.
    run = loop.start(2, ExplainRecipe(steps=1000, crop_s=2.5, sound_share=0.5))
    run.step = 20
    assert steps_in_time(run, False, 5.0, step_s=1.0, left_s=160.0) == 120
    assert steps_in_time(run, False, 5.0, step_s=1.0, left_s=1e6) == 1000
    assert steps_in_time(run, False, 5.0, step_s=1.0, left_s=-5.0) == 21
    run.step = 600
    assert steps_in_time(run, True, 5.0, step_s=2.0, left_s=160.0) == 680


@pytest.mark.parametrize("done", [0, 100, 700])
def test_a_run_ends_in_time_even_if_it_was_resumed(done: int) -> None:
    run = loop.start(2, ExplainRecipe(steps=1000, crop_s=2.5, sound_share=0.5))
    run.step, now_s = done, 0.0
    limit = TimeLimit(200.0, clock=lambda: now_s)
    while run.step < run.steps:
        of_sound = run.on_sound
        now_s += 3.0 if of_sound else 1.0
        run.step += 1
        limit.after_step(run, of_sound, 5.0)
    # The steps on sounds take more than twice as long, which is noticed when they begin.
    assert 170 < now_s <= 200


def test_a_joined_window_contains_each_sound_in_its_own_part(generator: torch.Generator) -> None:
    recipe = dataclasses.replace(ALONE, joined_share=1.0, gain_db=0.0)
    found = compose(sounds(100, 100, 9000, 9000), torch.tensor([0, 0, 1, 1]), 1000, recipe,
                    generator)  # fmt: skip
    assert found.labels.tolist() == [[0, 1], [0, 1]]
    for wave, until in zip(found.waveforms, found.first_until.tolist(), strict=True):
        assert 0.25 <= until <= 0.75
        quiet = wave < 0.1
        assert float(quiet.float().mean()) == pytest.approx(until, abs=0.002)
        assert quiet[: int(until * 1000) - 1].all()


def test_other_windows_have_one_label_or_two_sounds_at_once(generator: torch.Generator) -> None:
    pair, labels = sounds(3000, 9000), torch.tensor([0, 1])
    alone = compose(pair, labels, 500, dataclasses.replace(ALONE, gain_db=0.0), generator)
    assert alone.labels.tolist() == [[0, 0]]
    assert alone.waveforms.shape == (1, 500)
    assert alone.waveforms.max() == pytest.approx(3000 / 32767)
    mixed = compose(pair, labels, 500, dataclasses.replace(ALONE, mixed_share=1.0), generator)
    assert mixed.labels.tolist() == [[0, 1]]
    assert mixed.first_until.tolist() == [0]


def test_a_joined_window_is_asked_about_the_part_of_its_class(generator: torch.Generator) -> None:
    probabilities = torch.tensor([[0.6, 0.4, 0.0]] * 40)
    labels, until = torch.tensor([[0, 1]] * 40), torch.full((40,), 0.5)
    recipe = dataclasses.replace(RECIPE, likeliest_share=0, second_share=0, absent_share=0)
    question = ask(probabilities, labels, until, 10, recipe, generator)
    assert set(question.classes.tolist()) == {0, 1}
    assert question.held.all()
    for asked, own in zip(question.classes.tolist(), question.own, strict=True):
        assert own.tolist() == ([1.0] * 5 + [0.0] * 5 if asked == 0 else [0.0] * 5 + [1.0] * 5)


def test_some_windows_are_asked_about_classes_that_they_lack(generator: torch.Generator) -> None:
    probabilities = torch.tensor([[0.1, 0.6, 0.2, 0.1]] * 20)
    labels, until = torch.tensor([[0, 0]] * 20), torch.zeros(20)
    for share, expected in (
        ("likeliest_share", {1}),
        ("second_share", {2}),
        ("absent_share", {2, 3}),
    ):
        shares = ("likeliest_share", "second_share", "absent_share")
        recipe = changed(RECIPE, [f"{name}={float(name == share)}" for name in shares])
        question = ask(probabilities, labels, until, 10, recipe, generator)
        assert set(question.classes.tolist()) == expected
        assert question.held.all() == (share == "likeliest_share")


@pytest.mark.parametrize("held", [True, False])
def test_the_loss_is_lowest_for_what_a_mask_should_do(held: bool) -> None:
    sure, unsure = torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 9.0]])
    question = Question(
        torch.tensor([0]), torch.tensor([0.9 if held else 0.0]), torch.tensor([held]),
        torch.tensor([[1.0, 1.0, 0.0, 0.0]]),
    )  # fmt: skip
    small, outside = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    small[:, :2, :2], outside[:, :2, 2:] = 1.0, 1.0

    def total(masks: Tensor, kept: Tensor, rest: Tensor) -> float:
        return float(sum(losses(masks, kept, rest, question, RECIPE).values()))

    good = (small, sure, unsure) if held else (torch.zeros(1, 4, 4), unsure, unsure)
    assert total(*good) < total(small, unsure if held else sure, unsure)
    assert total(*good) < total(torch.ones(1, 4, 4), *good[1:]), "a larger mask"
    if held:
        assert total(*good) < total(small, sure, sure), "the rest keeps the class"
        assert total(*good) < total(outside, sure, unsure), "the mask is in the other part"


def test_masking_the_power_is_close_to_masking_the_sound(
    trained: Path, esc50: Path, tmp_path: Path
) -> None:
    options = command.parser().parse_args([str(trained), "--data", str(esc50), *SHORT_RUN])
    options.out = tmp_path / "runs" / "explain"
    frozen = command._frozen(command.make_plan(options))
    waveforms = frozen.samples[frozen.rows[:4]].float() / 32767
    pictures = frozen.log_mel(waveforms)
    mask = torch.zeros(4, 64, 16)
    mask[:, :, :8] = 1
    of_power = loop.masked_pictures(frozen, waveforms, pictures, mask)
    of_sound = loop.masked_sounds(frozen, waveforms, pictures, mask)
    for power, sound, frames in zip(of_power, of_sound, (slice(0, 12), slice(20, 32)), strict=True):
        inside = (power - sound)[..., frames].abs() * FEATURES.deviation_db
        assert inside.mean() < 1.0, "within one dB away from the edge"


def test_the_clips_that_excite_each_channel_are_those_trained_on(
    trained: Path, esc50: Path
) -> None:
    command.main([str(trained), "--data", str(esc50), "--channels"])
    found = json.loads((trained.parent / "small.channels.json").read_text())["stages"]
    assert {stage: len(channels) for stage, channels in found.items()} == CHANNELS
    names = {
        clip[0] for channels in found.values() for clips in channels.values() for clip in clips
    }
    assert names <= {path.name for path in (esc50 / "audio").iterdir() if path.name[0] in "12"}
    for name, label, second in found["layer1"]["0"]:
        assert label in ("rain", "whistle")
        assert 0 <= second < FEATURES.window_s
        assert name.endswith(".wav")


def test_the_masks_are_shifted_to_an_area(trained: Path, esc50: Path, tmp_path: Path) -> None:
    area = {}
    for asked in ("0.2", "0.6"):
        out = tmp_path / "runs" / asked
        further = ["--set", f"mask_area={asked}", "--out", str(out)]
        command.main([str(trained), "--data", str(esc50), *SHORT_RUN, *further])
        classifier = Classifier.load(trained)
        noise = torch.randn(8000, generator=torch.Generator().manual_seed(1)) / 10
        area[asked] = classifier.explain(noise.numpy(), 0).attribution.mean()
        decoder_path(trained).unlink()
    assert area["0.2"] + 0.2 < area["0.6"]
