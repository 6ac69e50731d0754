"""The commands, on an ESC-50 of eight clips."""

import json
from pathlib import Path

import pytest
import torch

from ml import checkpoint
from training import evaluate, train
from training.train import parse


@pytest.fixture(scope="module")
def trained(esc50: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one epoch."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    train.main(["--data", str(esc50), "--epochs", "1", "--out", str(out)])
    return out


def test_a_run_leaves_a_checkpoint_that_knows_how_it_was_made(trained: Path) -> None:
    info = checkpoint.read_info(trained / "checkpoint.safetensors")
    assert info.classes == ("rain", "whistle")
    assert info.folds_seen == (1, 2, 3)
    assert info.recipe["epochs"] == 1
    assert set(info.accuracy) == {"fold 4"}
    assert -100 < info.features.mean_db < 0
    assert info.features.deviation_db > 1
    assert not list(trained.glob("*.partial"))


def test_started_again_it_goes_on_and_does_not_begin_anew(
    trained: Path, esc50: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = checkpoint.load_model(
        trained / "checkpoint.safetensors",
        checkpoint.read_info(trained / "checkpoint.safetensors"),
    ).state_dict()
    train.main(["--data", str(esc50), "--epochs", "1", "--out", str(trained)])
    out = capsys.readouterr().out
    assert "going on after epoch 1" in out
    assert "epoch 1/1" not in out
    after = checkpoint.load_model(
        trained / "checkpoint.safetensors",
        checkpoint.read_info(trained / "checkpoint.safetensors"),
    ).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_measuring_it_again_gives_the_accuracy_it_carries(
    trained: Path, esc50: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trained / "checkpoint.safetensors"
    evaluate.main([str(path), "--data", str(esc50), "--fold", "4"])
    measured = json.loads(capsys.readouterr().out)
    assert measured["accuracy"] == checkpoint.read_info(path).accuracy["fold 4"]
    assert measured["clips"] == 2
    assert measured["folds_seen"] == [1, 2, 3]
    assert measured["seen"] is False


def test_measuring_on_a_fold_it_learned_from_is_said(
    trained: Path, esc50: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trained / "checkpoint.safetensors"
    evaluate.main([str(path), "--data", str(esc50), "--fold", "2"])
    assert json.loads(capsys.readouterr().out)["seen"] is True


def test_a_fold_that_is_not_there_cannot_be_measured(
    trained: Path, esc50: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        evaluate.main(
            [str(trained / "checkpoint.safetensors"), "--data", str(esc50), "--fold", "9"]
        )
    assert "no clip of fold 9" in capsys.readouterr().err


# --- what it refuses ----------------------------------------------------------------------


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        parse(list(arguments))
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_it_does_not_learn_from_the_fold_it_is_measured_on(
    esc50: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(esc50)]
    message = refusal(capsys, *data, "--folds", "1", "2", "4", "--test-fold", "4")
    assert "--test-fold must not be one of --folds" in message
    assert "--test-fold must not" in refusal(capsys, *data, "--test-fold", "3")
    assert parse([*data, "--folds", "1", "2", "4", "--test-fold", "3"]).test_fold == 3


def test_without_esc50_it_says_how_to_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ESC50_DIR", str(tmp_path / "nowhere"))
    for arguments in ([], ["--data", str(tmp_path)]):
        message = refusal(capsys, *arguments)
        assert "no ESC-50 here" in message
        assert "ESC50_DIR" in message


def test_a_folder_with_another_run_is_not_gone_on_with(esc50: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(esc50), "--epochs", "1", "--out", str(tmp_path / "run")]
    train.main(arguments)
    with pytest.raises(SystemExit, match="other settings"):
        train.main([*arguments, "--seed", "2"])
