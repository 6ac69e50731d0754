"""Tests of the evaluation command and of its metrics."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ml import checkpoint, checkpoint_info
from ml.checkpoint_info import CheckpointInfo, FeatureConfig
from ml.inference import Classifier
from ml.model import AudioCNN
from training.data.index import read_index
from training.evaluate import measure, metrics, plots
from training.evaluate.calibration import BINS, calibration, crossed, fit_temperature
from training.evaluate.metrics import Predictions
from training.figures import pixels

FEATURES = FeatureConfig(
    sample_rate=16_000, window_s=2.0, n_fft=512, mels=64, f_max_hz=8_000.0,
    mean_db=-20.0, deviation_db=20.0,
)  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """An untrained checkpoint whose windows are shorter than the clips."""
    torch.manual_seed(3)
    path = tmp_path / "made.safetensors"
    info = CheckpointInfo(classes=("rain", "whistle"), features=FEATURES, folds_seen=(1, 2, 3))
    checkpoint.save(path, AudioCNN(2).state_dict(), info)
    return path


class Command:
    def __init__(self, made: Path, esc50: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.arguments, self.capsys = [str(made), "--data", str(esc50)], capsys

    def __call__(self, *arguments: object, status: int = 0) -> dict:
        assert measure.main([*self.arguments, *map(str, arguments)]) == status
        output = self.capsys.readouterr()
        return {"refusal": output.err} if status else json.loads(output.out)


@pytest.fixture
def command(made: Path, esc50: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(made, esc50, capsys)


# --- the command --------------------------------------------------------------------------


def test_it_predicts_like_an_analysis(command: Command, made: Path, esc50: Path) -> None:
    report = command("--fold", 4)
    assert (report["clips"], report["folds_seen"], report["seen"]) == (2, [1, 2, 3], False)
    classifier = Classifier.load(made)
    examples = [example for example in read_index(esc50) if example.fold == 4]
    evaluated = measure.predict_clips(classifier, examples)
    waveforms = [measure._waveform(example, 16_000) for example in examples]
    for mine, theirs in zip(
        evaluated.predictions.probabilities(), classifier.classify(waveforms), strict=True
    ):
        assert np.allclose(mine, theirs.probabilities, atol=1e-5)
    right = [
        mine.argmax() for mine in evaluated.predictions.probabilities()
    ] == evaluated.predictions.labels
    assert report["accuracy"] == pytest.approx(np.mean(right))


def test_the_default_is_a_fold_that_the_weights_have_not_seen(command: Command, made: Path) -> None:
    assert command()["fold"] == 4
    measure.change_header(made, folds_seen=(1, 2, 4))
    assert command()["fold"] == 3
    measure.change_header(made, folds_seen=(1, 2, 3, 4))
    assert "were trained on every fold" in command(status=1)["refusal"]


def test_a_training_fold_is_reported_as_seen(command: Command) -> None:
    assert command("--fold", 2)["seen"] is True


def test_it_writes_json_markdown_and_pictures(command: Command, made: Path, tmp_path: Path) -> None:
    command("--fold", 4, "--out", tmp_path / "report")
    report = json.loads((tmp_path / "report" / "made.evaluation.json").read_text())
    assert report["format"] == 2
    assert datetime.fromisoformat(report["measured_at"]).tzinfo is UTC
    assert [one["name"] for one in report["by_class"]] == ["rain", "whistle"]
    assert sum(map(sum, report["confusion"])) == report["clips"] == 2
    assert len(report["calibration"]["bins"]) == BINS
    assert report["speed"]["clips_per_s"] > 0
    text = (tmp_path / "report" / "made.evaluation.md").read_text()
    for name in report["pictures"].values():
        with Image.open(tmp_path / "report" / name) as image:
            assert min(image.size) > 100
        assert f"({name})" in text
    command("--fold", 4, "--out", "--no-speed")
    assert json.loads(made.with_name("made.evaluation.json").read_text())["speed"] is None


def test_a_temperature_is_not_fitted_on_a_seen_fold(command: Command, made: Path) -> None:
    before = made.read_bytes()
    report = command("--fold", 2, "--fit-temperature", status=1)
    assert "were trained on fold 2" in report["refusal"]
    assert made.read_bytes() == before


def test_a_fitted_temperature_is_saved_in_the_header_and_used(
    command: Command, made: Path, esc50: Path
) -> None:
    weights = checkpoint_info.digest(made).weights
    waveform = measure._waveform(read_index(esc50)[0], 16_000)
    before = Classifier.load(made).classify([waveform])[0]
    report = command("--fold", 4, "--fit-temperature")
    info = checkpoint_info.read_info(made)
    assert info.temperature == report["temperature"] != 1
    assert info.notes == ("The temperature was fitted on fold 4.",)
    assert {"ece", "ece_with_temperature_1", "ece_crossed"} <= set(report)
    assert checkpoint_info.digest(made).weights == weights
    after = Classifier.load(made).classify([waveform])[0]
    expected = torch.tensor(before.activations.logits / info.temperature).softmax(0).numpy()
    assert np.allclose(after.window_probabilities[after.shown_window], expected, atol=1e-4)
    command("--fold", 4, "--fit-temperature")
    assert checkpoint_info.read_info(made) == info, "fitting again gives the same temperature"


def test_saved_predictions_are_reused(
    command: Command, made: Path, esc50: Path, tmp_path: Path
) -> None:
    file = tmp_path / "fold4.npz"
    first = command("--fold", 4, "--logits", file)
    kept = file.read_bytes()
    again = command("--fold", 4, "--logits", file)
    assert again == first, "the speed is the stored one"
    assert file.read_bytes() == kept
    report = command("--fold", 3, "--logits", file, status=1)
    assert "other weights or for other clips" in report["refusal"]


def test_missing_clips_and_checkpoints_are_reported(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no clips of fold 9" in command("--fold", 9, status=1)["refusal"]
    assert measure.main([str(tmp_path / "none.safetensors"), "--data", str(tmp_path)]) == 1
    assert "no checkpoint at" in capsys.readouterr().err


def test_a_class_that_the_checkpoint_lacks_is_named(
    command: Command, made: Path, esc50: Path
) -> None:
    info = dataclasses.replace(checkpoint_info.read_info(made), classes=("rain", "drum"))
    checkpoint.save(made, AudioCNN(2).state_dict(), info)
    assert "not in the checkpoint: whistle" in command(status=1)["refusal"]


# --- metrics ------------------------------------------------------------------------------


def drawn(clips: int, sharpness: float, seed: int = 1) -> Predictions:
    """Draw labels from the softmax of logits; return predictions with logits times `sharpness`."""
    random = np.random.default_rng(seed)
    logits = 2 * random.standard_normal((clips, 5))
    shares = metrics.softmax(logits).cumsum(axis=1)
    labels = (random.random((clips, 1)) > shares).sum(axis=1)
    return Predictions(sharpness * logits, np.arange(clips), labels)


def test_clips_are_averaged_over_their_windows() -> None:
    logits = np.log([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    predictions = Predictions(logits, np.array([0, 0, 1]), np.array([0, 0]))
    assert np.allclose(predictions.probabilities(), [[0.7, 0.3], [0.2, 0.8]])
    only = predictions.take(np.array([False, True]))
    assert np.allclose(only.probabilities(), [[0.2, 0.8]])


def test_accuracy_confusion_and_the_worst_mistakes() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.5, 0.1, 0.4]])
    labels = np.array([0, 0, 2, 2])
    assert metrics.accuracy(probabilities, labels) == 0.25
    assert metrics.accuracy(probabilities, labels, 2) == 0.75
    table = metrics.confusion(probabilities, labels)
    assert table.tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 0]]
    assert metrics.by_class(table) == [0.5, None, 0.0]
    assert metrics.worst(probabilities, labels, 2) == [2, 1]


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    kept = np.array([[0.75, 0.25]] * 4)
    assert calibration(kept, np.array([0, 0, 0, 1])).ece == pytest.approx(0)
    assert calibration(kept, np.array([0, 1, 1, 1])).ece == pytest.approx(0.5)
    bins = calibration(kept, np.array([0, 0, 0, 1])).bins
    assert sum(one.clips for one in bins) == 4
    (used,) = [one for one in bins if one.clips]
    assert used.low < 0.75 <= used.high
    assert (used.confidence, used.accuracy) == (0.75, 0.75)


def test_a_calibrated_network_is_within_the_band_and_an_overconfident_one_above() -> None:
    calibrated, overconfident = drawn(400, 1.0), drawn(400, 3.0)
    shown = calibration(calibrated.probabilities(), calibrated.labels)
    assert shown.band[0] <= shown.ece <= shown.band[1]
    assert 0.01 < shown.band[0] < shown.band[1] < 0.1
    measured = calibration(overconfident.probabilities(), overconfident.labels)
    assert measured.ece > 2 * measured.band[1]


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_fitted_temperature_corrects_overconfidence(sharpness: float) -> None:
    predictions = drawn(4000, sharpness)
    assert fit_temperature(predictions) == pytest.approx(sharpness, rel=0.1)


def test_crossed_probabilities_are_calibrated_and_predict_the_same_classes() -> None:
    overconfident = drawn(2000, 3.0)
    corrected = crossed(overconfident)
    assert np.allclose(corrected.sum(axis=1), 1)
    assert (corrected.argmax(axis=1) == overconfident.logits.argmax(axis=1)).all()
    assert calibration(corrected, overconfident.labels).ece < 0.05


def test_the_confidence_interval_narrows_with_more_clips() -> None:
    few, many = metrics.likely_range(8, 10), metrics.likely_range(800, 1000)
    assert few[0] < many[0] < 0.8 < many[1] < few[1]
    assert many == pytest.approx((0.774, 0.824), abs=0.001)


def test_a_matrix_of_fifty_classes_has_room_for_its_names() -> None:
    names = [f"class_number_{index}" for index in range(50)]
    height, width, _ = pixels(plots.confusion(np.eye(50, dtype=np.int64) * 8, names)).shape
    assert width == height > 50 * 18
