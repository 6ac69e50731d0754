"""Tests of the training command with a teacher, and from the weights of a checkpoint."""

import hashlib
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ml import checkpoint, checkpoint_info
from tests import fixtures
from training import train
from training.tests import onnx_writer
from training.time_limit import TimeLimit

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ["--smoke", "--epochs", "2", "--test-fold", "4", "--set", "teacher_epochs=1"]
DISTILLED = [*SMOKE, "--recipe", "distilled"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_writer.tiny_teacher(tmp_path_factory.mktemp("teacher") / "mn99_as.onnx")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, teacher: Path) -> Path:
    """The folder of an uninterrupted distilled run."""
    out = tmp_path_factory.mktemp("runs") / "distilled"
    train.main([*DISTILLED, "--teacher", str(teacher), "--out", str(out)])
    return out


def test_the_checkpoint_says_what_it_is_distilled_from(finished: Path, teacher: Path) -> None:
    info = checkpoint_info.read_info(finished / "checkpoint.safetensors")
    assert info.data == (
        "distilled from EfficientAT mn99_as (AudioSet, MIT) on synthetic sounds, folds 1, 2, 3 "
        "(none needed)"
    )
    assert info.recipe["teacher"] == hashlib.sha256(teacher.read_bytes()).hexdigest()
    assert str(teacher.parent) not in str(info)


def test_the_report_names_the_data_that_was_measured(finished: Path) -> None:
    heading = (finished / "checkpoint.evaluation.md").read_text().splitlines()[0]
    assert heading == "# checkpoint.safetensors on fold 4 of synthetic sounds"


def test_only_the_student_is_shipped(finished: Path) -> None:
    path = finished / "checkpoint.safetensors"
    checkpoint.load_model(path, checkpoint_info.read_info(path))


def test_the_parts_of_the_loss_are_in_tensorboard(finished: Path) -> None:
    events = EventAccumulator(str(finished / "tensorboard"))
    events.Reload()
    for part in ("labels", "teacher", "features"):
        assert [event.step for event in events.Scalars(f"Loss parts/{part}")] == [1, 2]


def test_a_killed_distilled_run_resumes_to_exactly_the_same_weights(
    finished: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "killed"
    arguments = [*DISTILLED, "--teacher", str(teacher), "--out", str(out)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with subprocess.Popen(
        [sys.executable, "-m", "training.train", *arguments],
        cwd=ROOT, env=os.environ | threads, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert "of a head on its features" in process.stdout.readline()
        assert "fine-tuned for 1 epochs" in process.stdout.readline()
        assert process.stdout.readline().startswith("epoch 1/2")
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL

    train.main(arguments)
    payload = capsys.readouterr().out
    assert "resuming after epoch 1" in payload
    assert "teacher," not in payload, "the head is in the saved state"
    states = [torch.load(run / "last.pt", weights_only=True) for run in (finished, out)]
    for part in ("model", "average", "distiller"):
        for name, value in states[0][part].items():
            assert torch.equal(value, states[1][part][name]), f"{part}: {name}"
    for number, values in states[0]["optimiser"]["state"].items():
        for name, value in values.items():
            assert torch.equal(value, states[1]["optimiser"]["state"][number][name])


def test_a_run_is_not_resumed_with_another_teacher(
    finished: Path, teacher: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(teacher.read_bytes() + onnx_writer.field(14, "changed"))
    for arguments in ([], ["--recipe", "distilled", "--teacher", str(other)]):
        with pytest.raises(SystemExit, match=r"other settings \(recipe\)"):
            train.main([*SMOKE, *arguments, "--out", str(finished)])


def test_seeds_and_a_time_limit_work_with_a_teacher(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock moves on by ten seconds per epoch, and the run has half a minute."""
    monkeypatch.setattr(
        train, "TimeLimit", lambda limit_s: TimeLimit(limit_s, itertools.count(0, 10).__next__)
    )
    out = tmp_path / "seeds"
    train.main(
        ["--smoke", "--recipe", "distilled", "--teacher", str(teacher), "--epochs", "500",
         "--minutes", "0.5", "--seeds", "2", "--out", str(out)]
    )  # fmt: skip
    info = checkpoint_info.read_info(out / "seed2" / "checkpoint.safetensors")
    assert info.data.startswith("distilled from EfficientAT mn99_as")
    assert (info.recipe["seed"], info.recipe["epochs"]) == (2, 2)
    figures = " | ".join(f"{accuracy:.2%}" for accuracy in info.accuracy.values())
    assert f"| 2 | {figures} |" in (out / "seeds.md").read_text().splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "distilled"], "--recipe distilled requires --teacher"),
        (["--teacher", "nowhere.onnx"], "There is no file nowhere.onnx"),
        (["--init", "nowhere.safetensors"], "There is no file nowhere.safetensors"),
        (["--set", "teacher=mine"], "name the file with --teacher"),
        (["--set", "teacher_weight=-1"], "teacher_weight must be at least 0"),
        (["--unlabelled", "sounds"], "--unlabelled requires --teacher"),
        (["--set", "unlabelled_share=0.5"], "unlabelled_share requires --unlabelled"),
        (["--set", "unlabelled_share=2"], "unlabelled_share must be between 0 and 1"),
    ],
)
def test_invalid_options_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        train.main(["--smoke", *arguments])
    assert message in capsys.readouterr().err


def test_a_file_that_is_no_teacher_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.onnx"
    file.write_text("This is not a network.")
    with pytest.raises(SystemExit, match=r"notes\.onnx is not an ONNX file"):
        train.main(["--smoke", "--teacher", str(file), "--out", str(tmp_path / "run")])


# --- sounds without labels ----------------------------------------------------------------


def test_a_run_learns_from_sounds_without_labels(
    finished: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for number in range(3):
        sound = fixtures.noise(1.0, 16_000, seed=number)
        (sounds / f"{number}.wav").write_bytes(fixtures.encode(sound, 16_000))
    asked = ["--smoke", "--epochs", "1", "--test-fold", "4", "--teacher", str(teacher)]
    asked += ["--unlabelled", str(sounds), "--out", str(tmp_path / "run")]
    train.main(asked)
    info = checkpoint_info.read_info(tmp_path / "run" / "checkpoint.safetensors")
    assert info.data == (
        "distilled from EfficientAT mn99_as (AudioSet, MIT) on synthetic sounds, folds 1, 2, 3 "
        "(none needed), and on 3 sounds without labels"
    )
    assert info.recipe["unlabelled_share"] == 0.5
    labelled = checkpoint_info.read_info(finished / "checkpoint.safetensors")
    assert info.features == labelled.features, "measured on the sounds with labels alone"
    (sounds / "0.wav").unlink()
    with pytest.raises(SystemExit, match=r"other settings \(unlabelled\)"):
        train.main(asked)


# --- starting from a checkpoint -----------------------------------------------------------


def test_a_run_starts_from_the_weights_and_features_of_a_checkpoint(
    finished: Path, tmp_path: Path
) -> None:
    start = finished / "checkpoint.safetensors"
    out = tmp_path / "warm"
    # A learning rate too small to move the weights shows where they started.
    train.main(
        ["--smoke", "--epochs", "1", "--set", "learning_rate=1e-12", "--init", str(start),
         "--out", str(out)]
    )  # fmt: skip
    before, after = (checkpoint_info.read_info(path / start.name) for path in (finished, out))
    assert after.features == before.features
    assert after.folds_seen == (1, 2, 3)
    assert after.notes == (f"The training started from the weights of checkpoint ({before.data}).",)
    weights = [
        dict(checkpoint.load_model(path / start.name, before).named_parameters())
        for path in (finished, out)
    ]
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=1e-6), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--test-fold", "3"], "was trained on fold 3, which is not used for this training"),
        (["--cross-validate"], "remove --init"),
    ],
)
def test_a_checkpoint_that_has_seen_another_fold_is_refused(
    finished: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    start = finished / "checkpoint.safetensors"
    with pytest.raises(SystemExit):
        train.main(["--smoke", "--init", str(start), *arguments])
    assert message in capsys.readouterr().err


def test_a_checkpoint_with_weights_of_another_network_is_refused(
    finished: Path, tmp_path: Path
) -> None:
    info = checkpoint_info.read_info(finished / "checkpoint.safetensors")
    start = tmp_path / "foreign.safetensors"
    checkpoint.save(start, {"weight": torch.zeros(1)}, info)
    with pytest.raises(SystemExit, match=r"foreign\.safetensors does not match the network"):
        train.main(["--smoke", "--init", str(start), "--out", str(tmp_path / "run")])


def test_a_checkpoint_of_other_classes_or_features_is_refused(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = finished / "checkpoint.safetensors"
    with pytest.raises(SystemExit):
        train.main(["--smoke", "--init", str(checkpoint_info.TESTED)])
    assert "has other classes than the data" in capsys.readouterr().err
    data = tmp_path / "esc50"
    train.smoke.make(data)
    with pytest.raises(SystemExit):
        train.main(["--data", str(data), "--init", str(start)])
    assert "other features than the recipe's" in capsys.readouterr().err
