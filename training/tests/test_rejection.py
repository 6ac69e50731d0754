"""The threshold of “not sure”, its measurement, and the sounds outside the classes."""

import dataclasses
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from ml import checkpoint
from ml.audio.decode import read
from ml.checkpoint_info import (
    CheckpointInfo,
    EmbeddingStatistics,
    FeatureConfig,
    digest,
    read_info,
)
from ml.from_json import from_json
from ml.inference import Classifier
from ml.model import AudioCNN
from ml.rejection import ClassDistance, fit
from training.data.index import DataError, read_index
from training.evaluate import outside, rejection
from training.evaluate.rejection import Scored

RATE_HZ = 16_000
FEATURES = FeatureConfig(
    sample_rate=RATE_HZ, window_s=1.0, n_fft=512, mels=32, f_max_hz=8_000.0,
    mean_db=-20.0, deviation_db=20.0,
)  # fmt: skip


def test_the_threshold_flags_at_most_a_twentieth_of_the_correct_predictions() -> None:
    scores = np.random.default_rng(1).random(200)
    threshold = rejection.threshold_of(scores)
    assert (scores < threshold).sum() == 10
    # With equal scores, none is flagged rather than all.
    assert (np.ones(50) < rejection.threshold_of(np.ones(50))).sum() == 0


def test_auroc_is_one_for_separated_scores_and_a_half_for_equal_ones() -> None:
    assert rejection.auroc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1.0
    assert rejection.auroc(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 0.0
    assert rejection.auroc(np.ones(3), np.ones(4)) == 0.5
    assert rejection.auroc(np.array([1.0, 3.0]), np.array([2.0])) == 0.5


def test_no_clip_is_flagged_by_a_threshold_fitted_on_itself() -> None:
    """The even clips score far higher than the odd ones, so only the odd ones are flagged."""
    scores = np.where(np.arange(80) % 2 == 1, 0.0, 10.0) + np.arange(80) / 1000
    sources = np.where(np.arange(80) % 2 == 1, "a", "b")
    flagged = rejection.flagged_crossed(Scored(scores, np.ones(80, bool), sources))
    assert flagged[1::2].all()
    assert not flagged[::2].any()


def test_clips_of_one_recording_are_in_the_same_half() -> None:
    """Only the first of the two recordings has low scores, so all its clips are flagged."""
    scores = np.where(np.arange(80) < 40, 0.0, 10.0) + np.arange(80) / 1000
    sources = np.where(np.arange(80) < 40, "a", "b")
    flagged = rejection.flagged_crossed(Scored(scores, np.ones(80, bool), sources))
    assert flagged[:40].all()
    assert not flagged[40:].any()


def test_a_half_with_too_few_correct_predictions_is_refused() -> None:
    sources = np.where(np.arange(80) < 70, "a", "b")
    clips = Scored(np.ones(80), np.ones(80, bool), sources)
    with pytest.raises(DataError, match="Only 10 predictions in one half"):
        rejection.flagged_crossed(clips)


def recordings(clips: int) -> np.ndarray:
    """Return the names of the clips' recordings (clips,), one recording per clip."""
    return np.array([f"{number:03}" for number in range(clips)])


def blobs(clips: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (clips, 512) around two class means, and their labels."""
    random = np.random.default_rng(1)
    labels = np.arange(clips) % 2
    embeddings = spread * random.standard_normal((clips, 512))
    embeddings[:, 0] *= 20  # a direction in which the classes vary far more
    embeddings[:, 1] += 30.0 * labels
    return embeddings, labels


def test_an_embedding_scores_lower_the_farther_it_is_from_every_class() -> None:
    distance = fit(*blobs(200))
    near, other_class, far = np.zeros((3, 512))
    other_class[1], far[2] = 30.0, 30.0
    scores = distance.scores(np.stack([near, other_class, far]))
    assert scores[:2] == pytest.approx(0, abs=40)
    assert scores[2] < -400
    # The same distance counts less where the training clips vary more.
    along, across = np.zeros((2, 512))
    along[0], across[2] = 20.0, 20.0
    assert distance.scores(along[None]) > distance.scores(across[None]) + 300


def test_statistics_survive_the_header() -> None:
    distance = fit(*blobs(200))
    stored = from_json(EmbeddingStatistics, json.loads(json.dumps(asdict(distance.to_info()))))
    embeddings = blobs(8)[0]
    again = ClassDistance.from_info(stored).scores(embeddings)
    assert again == pytest.approx(distance.scores(embeddings), rel=0.01)


def test_too_few_clips_give_no_statistics() -> None:
    with pytest.raises(ValueError, match="20 clips of 2 classes are too few"):
        fit(*blobs(20))


def test_copies_of_a_few_clips_give_no_statistics() -> None:
    """Without variance in most directions, the sign of the score would depend on rounding."""
    embeddings, labels = blobs(20)
    with pytest.raises(ValueError, match="vary in too few directions"):
        fit(np.tile(embeddings, (10, 1)), np.tile(labels, 10))
    embeddings, labels = blobs(200)
    embeddings[:, 32:] = 0  # the 32 directions that are stored vary, the rest does not
    with pytest.raises(ValueError, match="vary in too few directions"):
        fit(embeddings, labels)


def test_the_rates_are_those_of_the_fitted_threshold() -> None:
    right = np.arange(100) < 60
    scores = np.where(right, 10.0, 0.0) + np.arange(100) / 1000
    others = {"hum": np.zeros(4), "speech": np.array([0.0, 20.0])}
    clips = Scored(scores, right, recordings(100))
    found = rejection.measure(fit(*blobs(40)), clips, others, fold=3)
    assert (found.score, found.fold) == ("class_distance", 3)
    assert found.threshold == pytest.approx(10.003)
    assert found.right_flagged <= 0.1
    assert found.wrong_flagged == 1.0
    assert found.outside_flagged == {"hum": 1.0, "speech": 0.5}
    assert found.outside_flagged_mean == 0.75
    assert found.auroc == {"hum": 1.0, "speech": 0.5}


def test_too_few_correct_predictions_are_refused() -> None:
    with pytest.raises(DataError, match="Only 5 predictions on fold 3"):
        clips = Scored(np.ones(5), np.ones(5, bool), recordings(5))
        rejection.measure(fit(*blobs(40)), clips, {}, fold=3)


# --- sounds outside the classes -----------------------------------------------------------


@pytest.mark.parametrize("kind", outside.kinds())
def test_outside_sounds_are_the_same_every_time_and_differ_from_each_other(kind: str) -> None:
    first, again = (outside.sounds(kind, RATE_HZ, 3) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one, other)
        assert one.shape == (5 * RATE_HZ,)
        assert one.dtype == np.float32
        assert np.isfinite(one).all()
        assert np.abs(one).max() <= 1
    assert not np.array_equal(first[0], first[1])


def test_speech_is_left_out_without_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside.shutil, "which", lambda name: None)
    assert outside.SPEECH not in outside.kinds()
    assert "melody" in outside.kinds()


def test_a_voice_that_the_program_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "SPEAKER", "false")  # a program that always fails
    with pytest.raises(DataError, match="cannot speak with the voice en"):
        outside.sounds(outside.SPEECH, RATE_HZ, 1)


# --- the command --------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """An untrained checkpoint."""
    torch.manual_seed(3)
    path = tmp_path / "made.safetensors"
    info = CheckpointInfo(classes=("rain", "whistle"), features=FEATURES, folds_seen=(1, 2, 3))
    checkpoint.save(path, AudioCNN(2).state_dict(), info)
    return path


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure with two kinds of sounds, and as if the folds had enough clips."""
    monkeypatch.setattr(outside, "kinds", lambda: ["tone", "silence"])
    monkeypatch.setattr(outside, "COUNT", 2)
    clips = Scored(np.linspace(0.2, 1, 80), np.ones(80, bool), recordings(80))
    monkeypatch.setattr(rejection, "scored", lambda *_: clips)
    monkeypatch.setattr(rejection, "fit", lambda *_: fit(*blobs(40)))


def command(*arguments: object) -> int:
    return rejection.main(list(map(str, arguments)))


@pytest.mark.usefixtures("few")
def test_the_command_measures_and_stores_only_if_asked(
    made: Path, esc50: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = made.read_bytes()
    assert command(made, "--data", esc50, "--fold", 4) == 0
    line = json.loads(capsys.readouterr().out)
    assert set(line["outside_flagged"]) == {"tone", "silence"}
    assert made.read_bytes() == before
    weights = digest(made).weights
    assert command(made, "--data", esc50, "--fold", 4, "--write") == 0
    info = read_info(made)
    assert digest(made).weights == weights
    assert info.rejection is not None
    assert info.rejection.threshold == line["threshold"]
    assert info.notes == ("The threshold of “not sure” was fitted on fold 4.",)
    # And it is used: the embeddings of this network are not those of the statistics.
    classifier = Classifier.load(made)
    (found,) = classifier.predict([np.zeros(RATE_HZ, np.float32)])
    assert classifier.not_sure(found)


def test_each_clip_gets_the_score_of_an_analysis(made: Path, esc50: Path) -> None:
    classifier = Classifier.load(made)
    distance = fit(*blobs(40))
    examples = [example for example in read_index(esc50) if example.fold == 4]
    clips = rejection.scored(classifier, examples, distance)
    for number, example in enumerate(examples):
        (found,) = classifier.predict([read(example.path, RATE_HZ).waveform])
        score = distance.scores(found.window_embeddings).mean()
        assert clips.scores[number] == pytest.approx(score, rel=1e-3)
        label = classifier.info.classes[found.top_class]
        assert clips.right[number] == (label == example.label)
        assert clips.sources[number] == example.source


def test_a_class_that_the_checkpoint_lacks_is_named(made: Path, esc50: Path) -> None:
    (example, *_) = read_index(esc50)
    foreign = dataclasses.replace(example, label="meow")
    with pytest.raises(DataError, match=r"not in the checkpoint: meow\."):
        rejection.scored(Classifier.load(made), [example, foreign], fit(*blobs(40)))


def test_a_seen_fold_and_too_few_training_clips_are_refused(
    made: Path, esc50: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(made, "--data", esc50, "--fold", 2, "--write") == 1
    assert "have seen fold 2" in capsys.readouterr().err
    assert command(made, "--data", esc50, "--fold", 4, "--write") == 1
    assert "6 clips of 2 classes are too few" in capsys.readouterr().err
    assert read_info(made).rejection is None


@pytest.mark.usefixtures("few")
def test_a_checkpoint_takes_over_the_threshold_of_another_with_a_note(
    made: Path, esc50: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(made.read_bytes())
    assert command(made, "--data", esc50, "--take-from", other, "--write") == 1
    assert command(other, "--data", esc50, "--fold", 4, "--write") == 0
    assert command(made, "--data", esc50, "--take-from", other, "--write") == 0
    mine, theirs = read_info(made), read_info(other)
    assert mine.rejection and theirs.rejection
    assert mine.rejection.threshold == theirs.rejection.threshold
    (note,) = mine.notes
    assert "measured with other on fold 4" in note
