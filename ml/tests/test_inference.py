from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ml.checkpoint_info import (
    CHANNELS,
    CheckpointError,
    CheckpointInfo,
    EmbeddingStatistics,
    Rejection,
    map_names,
)
from ml.explain.results import Array
from ml.inference import Classifier, NonFiniteError
from ml.model import AudioCNN, ModelOutput
from ml.predictions import BestWindows, Result
from ml.rejection import ClassDistance, fit
from ml.tests.conftest import CLASSES, RATE_HZ, SHORT
from tests import fixtures

CPU = torch.device("cpu")
WINDOW = SHORT.window_samples


def make(
    network: AudioCNN,
    info: CheckpointInfo,
    precision: torch.dtype,
    on_recomputed: Callable[[int], object] = lambda windows: None,
) -> Classifier:
    return Classifier(network, info, "tiny@0123456789ab", CPU, precision, on_recomputed)


@pytest.fixture
def classifier(network: AudioCNN, info: CheckpointInfo) -> Classifier:
    return make(network, info, torch.float32)


def many_sounds(count: int) -> list[Array]:
    """Return sounds from a tenth of a second to three windows long, in random order."""
    draw = np.random.default_rng(8)
    sounds = []
    for number in range(count):
        duration_s = float(draw.uniform(0.1, 1.5)) if number % 3 else 0.5
        kind = number % 4
        if kind == 0:
            sounds.append(
                fixtures.noise(duration_s, level=float(draw.uniform(0.001, 0.5)), seed=number)
            )
        elif kind == 1:
            sounds.append(fixtures.chirp(float(draw.uniform(100, 9000)), 5000, duration_s))
        elif kind == 2:
            sounds.append(fixtures.clicks(float(draw.uniform(3, 30)), duration_s))
        else:
            sounds.append(fixtures.tone(float(draw.uniform(100, 9000)), duration_s))
    return sounds


def assert_same(one: Result, other: Result, tolerance: float = 1e-4) -> None:
    pairs = [
        (one.probabilities, other.probabilities),
        (one.window_probabilities, other.window_probabilities),
        (one.activations.logits, other.activations.logits),
        (one.activations.pooled, other.activations.pooled),
    ]
    for a, b in pairs:
        assert np.allclose(a, b, atol=tolerance * max(1.0, float(np.abs(a).max())))
    assert one.window_starts_s == other.window_starts_s
    assert one.shown_window == other.shown_window
    assert one.activations.maps.keys() == other.activations.maps.keys()
    for name, mean in one.activations.maps.items():
        assert np.allclose(mean, other.activations.maps[name], atol=tolerance), name


# --- one clip, many clips -----------------------------------------------------------------


def test_a_clip_gets_the_same_result_alone_and_among_others(classifier: Classifier) -> None:
    sounds = many_sounds(32)
    together = classifier.classify(sounds)
    assert len(together) == 32
    assert len({result.top_class for result in together}) > 1, "the network tells sounds apart"
    for sound, among in zip(sounds, together, strict=True):
        (alone,) = classifier.classify([sound])
        assert_same(alone, among)


def test_half_precision_gives_the_same_top_class_unless_it_is_a_tie(
    network: AudioCNN, info: CheckpointInfo
) -> None:
    if not torch.cpu.get_capabilities().get("avx512_bf16", False):
        pytest.skip("this processor does not compute in bfloat16")
    sounds = many_sounds(16)
    exact = make(network, info, torch.float32).classify(sounds)
    coarse = make(network, info, torch.bfloat16).classify(sounds)
    for one, other in zip(exact, coarse, strict=True):
        best, second = np.sort(one.probabilities)[::-1][:2]
        assert one.top_class == other.top_class or best - second < 0.02


def test_no_clips_give_no_results(classifier: Classifier) -> None:
    assert classifier.classify([]) == []


# --- predictions --------------------------------------------------------------------------


def test_predictions_are_all_classes_from_most_to_least_probable(classifier: Classifier) -> None:
    (result,) = classifier.classify([fixtures.chirp(duration_s=0.5)])
    predictions = classifier.predictions(result.probabilities)
    confidences = [p.confidence for p in predictions]
    assert sorted(p.label for p in predictions) == sorted(CLASSES)
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(1.0, abs=1e-5)
    assert predictions[0].label == CLASSES[result.top_class]


def test_a_higher_temperature_lowers_confidence(network: AudioCNN, info: CheckpointInfo) -> None:
    sound = [fixtures.noise(0.5)]
    (plain,) = make(network, info, torch.float32).classify(sound)
    (softened,) = make(network, replace(info, temperature=3.0), torch.float32).classify(sound)
    assert softened.probabilities.max() < plain.probabilities.max()
    assert softened.top_class == plain.top_class
    expected = torch.softmax(torch.from_numpy(plain.activations.logits) / 3.0, dim=0).numpy()
    assert np.allclose(softened.probabilities, expected, atol=1e-4)


# --- not sure -----------------------------------------------------------------------------


def embedding_statistics() -> EmbeddingStatistics:
    random = np.random.default_rng(1)
    labels = np.arange(100) % len(CLASSES)
    return fit(random.standard_normal((100, 512)), labels).to_info()


def with_rejection(
    info: CheckpointInfo, threshold: float, statistics: EmbeddingStatistics
) -> CheckpointInfo:
    rates = {"hum": 0.5}
    rejection = Rejection("class_distance", threshold, statistics, 4, 0.05, 0.3, rates, rates)
    return replace(info, rejection=rejection)


def test_a_clip_whose_score_is_below_the_threshold_is_not_sure(
    network: AudioCNN, info: CheckpointInfo, classifier: Classifier
) -> None:
    statistics = embedding_statistics()
    for one in classifier.predict([fixtures.noise(0.5), fixtures.chirp(duration_s=1.2)]):
        stored = ClassDistance.from_info(statistics)
        score = float(stored.scores(one.window_embeddings).mean())
        for threshold, expected in ((score + 1, True), (score - 1, False)):
            cautious = make(network, with_rejection(info, threshold, statistics), torch.float32)
            assert cautious.not_sure(one) is expected


@pytest.mark.parametrize(
    "damage",
    [
        {"means": "no base64"},
        {"means": "AAA="},  # two bytes: one number
        {"means": "AAAA"},  # three bytes: one number and a half
        {"directions": ""},
        {"variances": ()},
        {"variances": (0.0,) * 32},
        {"variances": (float("nan"),) * 32},
        {"rest_variance": None},
        {"rest_variance": 0.0},
        {"rest_variance": -1e-16},
        {"rest_variance": "wide"},
    ],
)
def test_damaged_statistics_make_the_checkpoint_unusable(
    network: AudioCNN, info: CheckpointInfo, damage: dict[str, Any]
) -> None:
    damaged = with_rejection(info, -900.0, replace(embedding_statistics(), **damage))
    with pytest.raises(CheckpointError, match="statistics are damaged"):
        make(network, damaged, torch.float32)


def test_statistics_of_other_classes_make_the_checkpoint_unusable(
    network: AudioCNN, info: CheckpointInfo
) -> None:
    more = replace(info, classes=(*info.classes, "one_more"))
    with pytest.raises(CheckpointError, match="the means are"):
        make(network, with_rejection(more, -900.0, embedding_statistics()), torch.float32)


def test_a_checkpoint_without_a_threshold_is_always_sure(classifier: Classifier) -> None:
    (result,) = classifier.predict([fixtures.silence(0.5)])
    assert classifier.not_sure(result) is False


def test_the_embedding_of_a_window_is_the_pooled_vector(classifier: Classifier) -> None:
    (result,) = classifier.classify([fixtures.noise(0.5)])
    (embedding,) = result.window_embeddings
    assert np.allclose(embedding, result.activations.pooled, atol=1e-4)


# --- long clips ---------------------------------------------------------------------------


@pytest.fixture
def long_clip() -> Array:
    parts = [
        fixtures.noise(0.7, level=0.3),
        fixtures.tone(600, 0.6),
        fixtures.chirp(300, 9000, 0.55),
    ]
    return np.concatenate(parts)


def test_a_long_clip_is_the_mean_of_its_windows(classifier: Classifier, long_clip: Array) -> None:
    (result,) = classifier.classify([long_clip])
    assert result.window_starts_s == (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.35)
    assert result.window_probabilities.shape == (7, len(CLASSES))
    assert np.allclose(result.probabilities, result.window_probabilities.mean(axis=0), atol=1e-6)
    for start_s, row in zip(result.window_starts_s, result.window_probabilities, strict=True):
        start = round(start_s * RATE_HZ)
        (window,) = classifier.classify([long_clip[start : start + WINDOW]])
        assert np.allclose(row, window.probabilities, atol=1e-4)


def test_the_shown_window_of_a_long_clip_is_the_most_confident_one(
    classifier: Classifier, long_clip: Array
) -> None:
    (result,) = classifier.classify([long_clip])
    for_top_class = result.window_probabilities[:, result.top_class]
    assert result.shown_window == for_top_class.argmax()
    assert for_top_class.max() > for_top_class.min() + 0.01, "the windows differ"
    start = round(result.window_starts_s[result.shown_window] * RATE_HZ)
    (window,) = classifier.classify([long_clip[start : start + WINDOW]])
    assert np.allclose(result.activations.logits, window.activations.logits, atol=1e-3)
    assert np.allclose(result.activations.pooled, window.activations.pooled, atol=1e-4)
    for name in map_names():
        assert np.allclose(
            result.activations.maps[name], window.activations.maps[name], atol=1e-4
        ), name


class Passes:
    """Record every pass of a network and of its copies, which may have room for `room` windows."""

    def __init__(self, network: AudioCNN, room: int = 10_000) -> None:
        self.sizes: list[int] = []
        self.with_gradients = 0
        self.room = room
        self.model = deepcopy(network)
        self.model.register_forward_pre_hook(self._before)
        self.model.register_forward_hook(self._after)

    def __deepcopy__(self, memo: object) -> "Passes":
        return self  # the copies of the network report here too

    def _before(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if len(inputs[0]) > self.room:
            raise torch.OutOfMemoryError("no room")

    def _after(self, module: nn.Module, inputs: tuple[Tensor, ...], output: ModelOutput) -> None:
        self.sizes.append(len(inputs[0]))
        self.with_gradients += output.logits.requires_grad


def test_each_window_takes_one_forward_pass_and_no_backward_pass(
    network: AudioCNN, info: CheckpointInfo, long_clip: Array
) -> None:
    passes = Passes(network)
    classifier = make(passes.model, info, torch.float32)
    results = classifier.classify([long_clip, fixtures.noise(0.5), fixtures.noise(0.1)])
    assert passes.sizes == [sum(len(one.window_starts_s) for one in results)] == [9]
    assert passes.with_gradients == 0


def test_of_a_long_recording_at_most_one_window_per_class_is_kept(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    add = BestWindows.add

    def counted(self: BestWindows, *window: Any) -> None:
        add(self, *window)
        kept.append(len(self.kept))

    monkeypatch.setattr(BestWindows, "add", counted)
    draw = np.random.default_rng(4)
    parts = [fixtures.tone(float(draw.uniform(100, 9000)), 0.5) for _ in range(10)]
    parts += [fixtures.noise(0.5, level=level) for level in (0.001, 0.1, 0.5)]
    (result,) = classifier.classify([np.concatenate(parts)])
    assert len(result.window_starts_s) == len(kept) == 25
    assert 1 < max(kept) <= len(CLASSES)
    # Not a view of the arrays of its whole chunk of windows.
    assert all(mean.base is None for mean in result.activations.maps.values())
    expected = result.window_probabilities[:, result.top_class].argmax()
    assert result.shown_window == expected


# --- what is shown ------------------------------------------------------------------------


def test_predictions_without_maps_are_the_same(classifier: Classifier, long_clip: Array) -> None:
    sounds = [long_clip, fixtures.noise(0.3)]
    whole = classifier.classify(sounds)
    for one, other in zip(classifier.predict(sounds), whole, strict=True):
        assert np.allclose(one.window_probabilities, other.window_probabilities, atol=1e-6)
        assert np.allclose(one.window_embeddings, other.window_embeddings, atol=1e-6)
        assert (one.shown_window, one.top_class) == (other.shown_window, other.top_class)


def test_the_embedding_of_a_clip_is_the_mean_over_its_windows(
    classifier: Classifier, long_clip: Array
) -> None:
    (result,) = classifier.classify([long_clip])
    assert result.embedding.shape == (512,)
    assert np.allclose(result.embedding, result.window_embeddings.mean(0))


def test_the_explanation_of_a_class_adds_up_to_its_logit(
    classifier: Classifier, network: AudioCNN
) -> None:
    sound = fixtures.chirp(duration_s=0.5)
    (result,) = classifier.classify([sound])
    for asked in (result.top_class, int(result.probabilities.argmin())):
        found = classifier.explain(sound, asked)
        assert found.attribution.min() >= 0
        assert found.attribution.max() in (0, 1), "nothing contributed, or the maximum is 1"
        assert np.isclose(found.logit, result.activations.logits[asked], atol=1e-3)
        strongest = found.strongest["layer4"]
        contributions = network.fc.weight[asked].numpy() * result.activations.pooled
        order = np.argsort(-contributions)[: len(strongest)]
        assert [one.number for one in strongest] == order.tolist()
        assert np.allclose([one.contribution for one in strongest], contributions[order], atol=1e-4)
        total = contributions.sum() + network.fc.bias[asked].item()
        assert np.isclose(total, found.logit, atol=1e-3)
        for one in strongest:
            assert np.allclose(one.values.mean(), result.activations.pooled[one.number], atol=1e-4)


def test_maps_are_the_means_over_the_channels(classifier: Classifier, network: AudioCNN) -> None:
    sound = fixtures.chirp(duration_s=0.5)
    (result,) = classifier.classify([sound])
    with torch.inference_mode():
        output = network(classifier.log_mel(torch.from_numpy(sound)[None]))
    assert tuple(result.activations.maps) == map_names()
    for name, value in output.maps.items():
        assert CHANNELS[name.partition(".")[0]] == value.shape[1]
        assert result.activations.maps[name].dtype == np.float32
        assert np.allclose(result.activations.maps[name], value[0].mean(dim=0).numpy(), atol=1e-4)


@pytest.mark.parametrize("duration_s", [0.1, 3.0, 60.0, 61.234, 120.001, 150.0])
def test_the_spectrogram_of_a_long_clip_has_no_seams(
    classifier: Classifier, duration_s: float
) -> None:
    waveform = fixtures.chirp(50, 15_000, duration_s) + fixtures.noise(duration_s, level=0.01)
    whole = classifier.log_mel.decibels(torch.from_numpy(waveform)[None])[0, 0].numpy()
    pieced = classifier.spectrogram(waveform)
    assert pieced.shape == whole.shape == (128, 1 + len(waveform) // SHORT.hop_samples)
    assert np.abs(pieced - whole).max() < 0.01


# --- memory -------------------------------------------------------------------------------


def test_it_uses_smaller_chunks_when_memory_runs_out(
    classifier: Classifier, network: AudioCNN, info: CheckpointInfo
) -> None:
    sounds = many_sounds(14)
    roomy = classifier.classify(sounds)
    cramped = Passes(network, room=3)
    small = make(cramped.model, info, torch.float32)
    assert small.chunk_windows > cramped.room
    for one, other in zip(roomy, small.classify(sounds), strict=True):
        assert_same(one, other)
    assert 1 < max(cramped.sizes) <= cramped.room
    assert small.chunk_windows <= cramped.room, "it remembers for the next chunk"


def test_it_raises_when_not_even_one_window_fits(network: AudioCNN, info: CheckpointInfo) -> None:
    cramped = Passes(network, room=0)
    with pytest.raises(torch.OutOfMemoryError):
        make(cramped.model, info, torch.float32).classify([fixtures.noise(0.5)])


# --- NaN and infinity ---------------------------------------------------------------------


class Breakable:
    """A copy of a network that puts `value` into the first window while `broken` is set."""

    def __init__(
        self,
        network: AudioCNN,
        value: float,
        *precisions: torch.dtype,
        place: str = "layer4.0.conv1",
        broken: bool = False,
    ) -> None:
        self.model = deepcopy(network)
        self.value, self.precisions, self.broken = value, precisions, broken
        self.model.get_submodule(place).register_forward_hook(self._inject)

    def __deepcopy__(self, memo: object) -> "Breakable":
        return self  # a copy of the network breaks at the same time

    def _inject(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not self.broken or output.dtype not in self.precisions:
            return output
        output = output.clone()
        output[0, 0, 0, 0] = self.value
        return output


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", ["conv1.0", "layer4.0.conv1"])
def test_a_window_that_is_not_finite_is_computed_again_in_fp32(
    network: AudioCNN,
    info: CheckpointInfo,
    caplog: pytest.LogCaptureFixture,
    value: float,
    place: str,
) -> None:
    sounds = many_sounds(3)
    exact = make(network, info, torch.float32).classify(sounds)
    counted: list[int] = []
    breakable = Breakable(network, value, torch.bfloat16, place=place)
    classifier = make(breakable.model, info, torch.bfloat16, counted.append)
    classifier.chunk_windows = 1
    breakable.broken = True
    results = classifier.classify(sounds)
    for result, expected in zip(results, exact, strict=True):
        assert_same(result, expected)
    assert sum(counted) == classifier.recomputed_windows >= len(sounds)
    assert [record.levelname for record in caplog.records] == ["WARNING"], "once, not each time"
    assert "non-finite" in caplog.text


def test_a_map_that_is_not_finite_is_computed_again_even_if_relu_hides_it(
    network: AudioCNN, info: CheckpointInfo
) -> None:
    sound = fixtures.chirp(duration_s=0.5)
    (exact,) = make(network, info, torch.float32).classify([sound])
    breakable = Breakable(network, float("-inf"), torch.bfloat16, place="layer2.1.conv2")
    classifier = make(breakable.model, info, torch.bfloat16)
    breakable.broken = True
    (found,) = classifier.classify([sound])
    assert classifier.recomputed_windows == 1
    assert_same(found, exact)


def test_only_the_broken_window_of_a_chunk_is_computed_again(
    network: AudioCNN, info: CheckpointInfo
) -> None:
    sounds = [fixtures.noise(0.5, seed=seed) for seed in range(4)]
    coarse = make(network, info, torch.bfloat16).classify(sounds)
    (exact,) = make(network, info, torch.float32).classify(sounds[:1])
    breakable = Breakable(network, float("nan"), torch.bfloat16)
    classifier = make(breakable.model, info, torch.bfloat16)
    breakable.broken = True
    results = classifier.classify(sounds)
    assert classifier.recomputed_windows == 1
    assert_same(results[0], exact)
    for result, expected in zip(results[1:], coarse[1:], strict=True):
        assert np.array_equal(result.probabilities, expected.probabilities)


def test_the_channels_of_a_map_are_computed_again_in_fp32(
    network: AudioCNN, info: CheckpointInfo
) -> None:
    sound = fixtures.chirp(duration_s=0.5)
    exact = make(network, info, torch.float32).channels(sound, "layer4", 0)
    breakable = Breakable(network, float("nan"), torch.bfloat16)
    classifier = make(breakable.model, info, torch.bfloat16)
    breakable.broken = True
    found = classifier.channels(sound, "layer4", 0)
    assert np.allclose(found.values, exact.values, atol=1e-4)
    assert found.contributions is not None and np.isfinite(found.contributions).all()


def test_an_explanation_is_computed_again_in_fp32(network: AudioCNN, info: CheckpointInfo) -> None:
    sound = fixtures.chirp(duration_s=0.5)
    exact = make(network, info, torch.float32).explain(sound, 2)
    breakable = Breakable(network, float("nan"), torch.bfloat16)
    classifier = make(breakable.model, info, torch.bfloat16)
    breakable.broken = True
    found = classifier.explain(sound, 2)
    assert classifier.recomputed_windows == 1
    assert np.isclose(found.logit, exact.logit, atol=1e-4)
    # Rounding turns a ReLU that is near zero on or off, which changes a few cells' gradients by
    # more than rounding itself; how many depends on the processor's order of summation.
    differences = np.abs(found.attribution - exact.attribution)
    assert differences.mean() < 0.002
    assert np.quantile(differences, 0.99) < 0.02


def test_a_network_that_is_not_finite_in_fp32_either_is_an_error(
    network: AudioCNN, info: CheckpointInfo
) -> None:
    breakable = Breakable(network, float("nan"), torch.bfloat16, torch.float32)
    for precision in (torch.bfloat16, torch.float32):
        breakable.broken = False
        classifier = make(breakable.model, info, precision)
        breakable.broken = True
        with pytest.raises(NonFiniteError, match="fp32"):
            classifier.classify([fixtures.noise(0.5)])
        with pytest.raises(NonFiniteError, match="fp32"):
            classifier.explain(fixtures.noise(0.5), 0)
    with pytest.raises(NonFiniteError):
        make(breakable.model, info, torch.bfloat16)


@pytest.mark.parametrize("value", [float("nan"), 1e4])
def test_a_precision_that_fails_the_self_test_is_not_used(
    network: AudioCNN, info: CheckpointInfo, caplog: pytest.LogCaptureFixture, value: float
) -> None:
    breakable = Breakable(network, value, torch.bfloat16, broken=True)
    classifier = make(breakable.model, info, torch.bfloat16)
    assert classifier.precision == torch.float32
    assert "fp32 is used instead" in caplog.text
    (result,) = classifier.classify([fixtures.noise(0.5)])
    (exact,) = make(network, info, torch.float32).classify([fixtures.noise(0.5)])
    assert_same(result, exact)
    assert classifier.recomputed_windows == 0
