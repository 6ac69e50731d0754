"""Tests of distillation with a tiny teacher that the tests write themselves."""

import copy
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.checkpoint_info import FeatureConfig
from ml.features import LogMel
from ml.model import ModelOutput
from tests import fixtures
from training import loop
from training.config import Recipe
from training.data.windows import Windows
from training.distil import fit
from training.distil.distiller import Distiller, Knowledge, filled
from training.distil.teacher import Teacher
from training.tests import onnx_writer

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=2, batch=4, crop_s=0.3, precision="fp32", teacher="0" * 64)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_writer.tiny_teacher(tmp_path_factory.mktemp("teacher") / "tiny.onnx")


@pytest.fixture
def distiller(path: Path) -> Distiller:
    return Distiller(Teacher(path, 32_000), 2)


@pytest.fixture(scope="module")
def windows() -> Windows:
    """Four tones, then four hisses, of half a second."""
    tones = [fixtures.tone(400 * (n + 1), 0.5) for n in range(4)]
    hisses = [fixtures.noise(0.5, seed=n) for n in range(4)]
    samples = torch.from_numpy(np.stack([*tones, *hisses]) * 32767).to(torch.int16)
    return Windows(samples, torch.arange(8) // 4, torch.arange(8))


ROWS = torch.arange(8)


def test_the_head_is_fitted_to_the_given_rows_alone(distiller: Distiller, windows: Windows) -> None:
    recipe = Recipe(batch=4, crop_s=0.3, mixup_share=0.0)
    before = nn.utils.parameters_to_vector(distiller.teacher.parameters()).clone()
    rows = torch.tensor([0, 1, 4, 5])
    fit.fit_head(distiller, recipe, windows, rows)
    assert fit.accuracy(distiller, recipe, windows, rows) == 1.0
    after = nn.utils.parameters_to_vector(distiller.teacher.parameters())
    assert torch.equal(before, after), "the teacher itself is not changed"
    silent = Windows(windows.samples.clone(), windows.labels, windows.clips)
    silent.samples[[2, 3, 6, 7]] = 0
    other = Distiller(distiller.teacher, 2)
    fit.fit_head(other, recipe, silent, rows)
    assert torch.equal(other.head.weight, distiller.head.weight)


def test_fine_tuning_changes_the_teacher_and_fits_the_labels_better(
    distiller: Distiller, windows: Windows
) -> None:
    recipe = Recipe(batch=8, crop_s=0.3, mixup_share=0.0, teacher_epochs=20)
    fit.fit_head(distiller, recipe, windows, ROWS)
    losses = [_loss_of_head(distiller, windows)]
    before = nn.utils.parameters_to_vector(distiller.teacher.parameters()).clone()
    fit.fine_tune(distiller, recipe, windows, ROWS)
    losses.append(_loss_of_head(distiller, windows))
    assert losses[1] < losses[0]
    assert not torch.equal(before, nn.utils.parameters_to_vector(distiller.teacher.parameters()))
    trained = [name for name, p in distiller.named_parameters() if p.requires_grad]
    assert trained == ["imitation.weight", "imitation.bias"], "the run trains no part of it"


def test_fine_tuning_measures_the_features_again(distiller: Distiller, windows: Windows) -> None:
    """Without augmentation, the statistics are those of the windows themselves."""
    recipe = Recipe(
        batch=8, crop_share=0.0, shift=False, gain_db=0.0, speed=0.0, mixup_share=0.0,
        teacher_epochs=5,
    )  # fmt: skip
    fit.fit_head(distiller, recipe, windows, ROWS)
    fit.fine_tune(distiller, recipe, windows, ROWS)
    features = distiller(windows.samples.float() / 32767).features
    size = distiller.teacher.size
    assert features.mean(0).tolist() == pytest.approx([0.0] * size, abs=1e-3)
    assert features.std(0, correction=0).tolist() == pytest.approx([1.0] * size, abs=0.02)


def test_new_statistics_do_not_change_the_logits(distiller: Distiller, windows: Windows) -> None:
    recipe = Recipe(batch=8, crop_s=0.3)
    fit.fit_head(distiller, recipe, windows, ROWS)
    with torch.no_grad():
        for parameter in distiller.teacher.parameters():
            parameter.mul_(1.2)
    waveform = windows.samples.float() / 32767
    before = distiller(waveform)
    fit.update_statistics(distiller, recipe, windows, ROWS)
    after = distiller(waveform)
    assert not torch.allclose(before.features, after.features, atol=0.01)
    assert torch.allclose(before.logits, after.logits, atol=1e-4)


@torch.no_grad()
def _loss_of_head(distiller: Distiller, windows: Windows) -> float:
    logits = distiller(windows.samples.float() / 32767).logits
    return F.cross_entropy(logits, windows.labels).item()


def test_each_part_of_the_loss_is_zero_where_the_student_agrees(distiller: Distiller) -> None:
    # Three classes: with two, the divergence from the negated logits is symmetric.
    distiller = Distiller(distiller.teacher, 3)
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 3, generator=generator)
    features = torch.zeros(3, distiller.teacher.size)
    output = ModelOutput(logits, torch.randn(3, 512, generator=generator), {}, torch.empty(0))
    targets = logits.softmax(1)
    recipe = Recipe(label_smoothing=0.0)
    _, *parts = distiller.losses(output, targets, Knowledge(logits + 3.0, features), recipe)
    entropy = -(targets * targets.log()).sum(1).mean().item()
    assert [part.item() for part in parts] == pytest.approx([entropy, 0, 0], abs=1e-6)

    other = Knowledge(-logits, features + 2.0)
    losses = distiller.losses(output, targets, other, recipe)
    total, labels, teacher, features = losses.tolist()
    assert features == pytest.approx(4.0)
    taught, learned = other.logits.softmax(1), logits.softmax(1)
    divergence = (taught * (taught.log() - learned.log())).sum(1).mean().item()
    assert teacher == pytest.approx(divergence, rel=1e-5)
    assert total == pytest.approx(0.5 * labels + teacher + 0.5 * features)


def test_the_teacher_is_given_the_waveform_that_the_student_sees(
    distiller: Distiller, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_mel = LogMel(FeatureConfig(window_s=0.5, mean_db=-50.0, deviation_db=25.0))
    waveforms: dict[str, list[Tensor]] = {"student": [], "teacher": []}
    log_mel.register_forward_pre_hook(lambda _, given: waveforms["student"].append(given[0]))
    distiller.register_forward_pre_hook(lambda _, given: waveforms["teacher"].append(given[0]))
    run = loop.start(RECIPE, 2, 2, CPU, distiller=distiller)
    loop.train_epoch(
        run, RECIPE, log_mel, windows.samples, windows.labels, ROWS, lambda step, loss: None
    )
    assert len(waveforms["student"]) == 2
    for student, teacher in zip(*waveforms.values(), strict=True):
        assert torch.equal(student, teacher)
    assert distiller.imitation.weight.abs().sum() > 0, "it is trained together with the student"


class Recorder:
    """In place of the graphs: it keeps the shapes of their inputs, and runs the work directly."""

    def __init__(self) -> None:
        self.shapes: list[list[int]] = []
        self.targets: list[Tensor] = []

    def run(self, work: Callable[..., Tensor], inputs: tuple[Tensor, ...], *_: object) -> Tensor:
        self.shapes.append([value.shape[-1] for value in inputs])
        self.targets.append(inputs[2])
        return work(*inputs)


def test_a_graph_reads_the_waveform_that_the_teacher_hears(
    distiller: Distiller, windows: Windows
) -> None:
    log_mel = LogMel(FeatureConfig(window_s=0.5, mean_db=-50.0, deviation_db=25.0))
    recorder = Recorder()
    losses = []
    for graphs in (None, recorder):
        run = loop.start(RECIPE, 2, 2, CPU, distiller=copy.deepcopy(distiller))
        run.graphs = graphs  # type: ignore[assignment]
        losses.append(
            loop.train_epoch(
                run, RECIPE, log_mel, windows.samples, windows.labels, ROWS, lambda *_: None
            )
        )
    assert losses[0] == losses[1]
    assert set(losses[0].parts) == {"labels", "teacher", "features"}
    samples, classes = round(0.3 * log_mel.config.sample_rate), 2
    frames = 1 + samples // log_mel.config.hop_samples
    assert recorder.shapes == [[samples, frames, classes]] * 2


def test_a_skipped_step_does_not_count_in_the_parts_of_the_loss(
    distiller: Distiller, windows: Windows
) -> None:
    log_mel = LogMel(FeatureConfig(window_s=0.5, mean_db=-50.0, deviation_db=25.0))
    run = loop.start(RECIPE, 2, 2, CPU, distiller=distiller)
    broken = iter((True, False))

    def inject(module: object, inputs: object, knowledge: Knowledge) -> Knowledge:
        if not next(broken):
            return knowledge
        return Knowledge(knowledge.logits * float("nan"), knowledge.features)

    distiller.register_forward_hook(inject)
    losses: list[float] = []
    mean = loop.train_epoch(
        run, RECIPE, log_mel, windows.samples, windows.labels, ROWS,
        lambda step, loss: losses.append(loss.item()),
    )  # fmt: skip
    assert math.isnan(losses[0])
    assert mean.total == pytest.approx(losses[1])
    assert all(map(math.isfinite, mean.parts.values()))
    assert run.skipped_steps == 1


def test_a_teacher_changes_none_of_the_random_numbers_of_a_run(distiller: Distiller) -> None:
    alone = loop.start(RECIPE, 2, 2, CPU).model.state_dict()
    distilled = loop.start(RECIPE, 2, 2, CPU, distiller=distiller).model.state_dict()
    assert all(torch.equal(value, distilled[name]) for name, value in alone.items())


# --- sounds without labels ----------------------------------------------------------------


def test_the_teacher_fills_what_is_missing_of_the_targets() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]]).repeat(4, 1)
    said = logits[0].softmax(0)
    targets = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.3, 0.0, 0.0], [0.5, 0.5, 0.001]])
    found = filled(targets, Knowledge(logits, torch.empty(4, 0)))
    assert torch.equal(found[0], targets[0])
    assert torch.allclose(found[1], said)
    assert torch.allclose(found[2], targets[2] + 0.7 * said)
    assert torch.equal(found[3], targets[3]), "nothing is taken away"


def test_the_loss_fills_targets_only_if_the_recipe_has_sounds_without_labels(
    distiller: Distiller, generator: torch.Generator
) -> None:
    logits = torch.randn(3, 2, generator=generator)
    output = ModelOutput(logits, torch.zeros(3, 512), {}, torch.empty(0))
    knowledge = Knowledge(-logits, torch.zeros(3, distiller.teacher.size))
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.4]])
    entropy = F.cross_entropy(logits, filled(targets, knowledge), label_smoothing=0.1)
    plain, more = Recipe(), Recipe(unlabelled_share=0.5)
    assert distiller.losses(output, targets, knowledge, more)[1] == entropy
    unfilled = F.cross_entropy(logits, targets, label_smoothing=0.1)
    assert distiller.losses(output, targets, knowledge, plain)[1] == unfilled


def test_a_sound_without_a_label_has_a_target_of_zeros(
    distiller: Distiller, windows: Windows
) -> None:
    recipe = Recipe(
        epochs=2, batch=8, crop_s=0.3, mixup_share=0.0, precision="fp32", unlabelled_share=1.0
    )
    log_mel = LogMel(FeatureConfig(window_s=0.5, mean_db=-50.0, deviation_db=25.0))
    recorder = Recorder()
    run = loop.start(recipe, 2, 1, CPU, distiller=distiller)
    run.graphs = recorder  # type: ignore[assignment]
    labels = torch.tensor([0, 0, 1, 1, -1, -1, -1, -1])
    loop.train_epoch(run, recipe, log_mel, windows.samples, labels, ROWS, lambda *_: None)
    assert recorder.targets[0].sum(0).tolist() == [2.0, 2.0]
    assert sorted(recorder.targets[0].sum(1).tolist()) == [0.0] * 4 + [1.0] * 4
