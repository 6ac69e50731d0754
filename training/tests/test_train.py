"""Tests of the training command on synthetic sounds."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ml import checkpoint, checkpoint_info
from training import seeds, smoke, train
from training.cli import Plan, make_plan, parser
from training.config import SettingError
from training.data.index import DataError
from training.time_limit import TimeLimit

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ["--smoke", "--epochs", "2", "--validation-fold", "3", "--keep", "best", "--watch", "1"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run that keeps the best epoch by fold 3 and watches fold 4."""
    out = tmp_path_factory.mktemp("runs") / "straight"
    train.main([*SMOKE, "--out", str(out)])
    return out


def test_the_checkpoint_of_a_run_describes_how_it_was_trained(finished: Path) -> None:
    info = checkpoint_info.read_info(finished / "checkpoint.safetensors")
    assert info.classes == ("hum", "rain", "whistle")
    assert info.data == "synthetic sounds"
    assert info.recipe["epochs"] == 2
    assert info.recipe["precision"] == "fp32"
    assert set(info.accuracy) == {"fold 3", "fold 4"}
    assert -100 < info.features.mean_db < 50
    assert info.features.deviation_db > 1
    assert not list(finished.glob("*.partial"))


def test_the_evaluation_is_written_beside_the_checkpoint(finished: Path) -> None:
    payload = json.loads((finished / "checkpoint.evaluation.json").read_text())
    info = checkpoint_info.read_info(finished / "checkpoint.safetensors")
    assert (payload["fold"], payload["seen"], payload["clips"]) == (4, False, 9)
    assert payload["accuracy"] == pytest.approx(info.accuracy["fold 4"], abs=1e-4)
    for picture in payload["pictures"].values():
        assert (finished / picture).read_bytes()[:4] == b"\x89PNG"


# --- resuming ----------------------------------------------------------------------------


def test_a_killed_run_resumes_to_exactly_the_same_weights(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "killed"
    arguments = [*SMOKE, "--out", str(out)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with subprocess.Popen(
        [sys.executable, "-m", "training.train", *arguments],
        cwd=ROOT, env=os.environ | threads, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().startswith("epoch 1/2")
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (out / "checkpoint.safetensors").exists()

    train.main(arguments)
    assert "resuming after epoch 1" in capsys.readouterr().out
    states = [torch.load(run / "last.pt", weights_only=True) for run in (finished, out)]
    for part in ("model", "average"):
        for name, value in states[0][part].items():
            assert torch.equal(value, states[1][part][name]), f"{part}: {name}"
    for number, values in states[0]["optimiser"]["state"].items():
        for name, value in values.items():
            assert torch.equal(value, states[1]["optimiser"]["state"][number][name])
    weights = [load_file(run / "checkpoint.safetensors") for run in (finished, out)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_starting_a_finished_run_again_changes_nothing(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = load_file(finished / "checkpoint.safetensors")
    info = checkpoint_info.read_info(finished / "checkpoint.safetensors")
    train.main([*SMOKE, "--out", str(finished)])
    payload = capsys.readouterr().out
    assert "resuming after epoch 2" in payload
    assert "epoch 2/2" not in payload
    after = load_file(finished / "checkpoint.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert checkpoint_info.read_info(finished / "checkpoint.safetensors") == info


def test_a_folder_with_another_run_is_not_resumed(finished: Path) -> None:
    with pytest.raises(SystemExit, match=r"other settings \(recipe\)"):
        train.main([*SMOKE, "--seed", "2", "--out", str(finished)])


# --- a time limit and several seeds -------------------------------------------------------


class Clock:
    """A clock that moves on by ten seconds whenever it is read."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 10.0
        return self.now_s


def test_a_time_limit_shortens_the_run_and_a_resumed_run_keeps_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "TimeLimit", lambda limit_s: TimeLimit(limit_s, Clock()))
    # The clock reads 10 s at the start and 20 s before the first epoch, then 10 s per epoch.
    arguments = ["--smoke", "--epochs", "500", "--minutes", "1"]
    train.main([*arguments, "--out", str(tmp_path / "limited")])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    # Two epochs of 10 s are more than a quarter of the limit. One in ten takes twice as long.
    assert last["epochs"] == int((0.97 * 60 - 10) / 11)
    info = checkpoint_info.read_info(tmp_path / "limited" / "checkpoint.safetensors")
    assert info.recipe["epochs"] == last["epochs"]
    state = torch.load(tmp_path / "limited" / "last.pt", weights_only=True)
    assert state["schedule"]["total_steps"] == last["epochs"] * 4
    assert state["schedule"]["last_epoch"] == last["epochs"] * 4

    train.main([*arguments, "--out", str(tmp_path / "limited")])
    assert f"resuming after epoch {last['epochs']}" in capsys.readouterr().out


def test_several_seeds_are_trained_and_summarised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "seeds"
    train.main(["--smoke", "--epochs", "1", "--seeds", "3", "5", "--out", str(out)])
    figures = json.loads((out / "seeds.json").read_text())
    shares = [
        checkpoint_info.read_info(out / f"seed{seed}" / "checkpoint.safetensors").accuracy["fold 4"]
        for seed in (3, 5)
    ]
    assert figures["seeds"] == {"3": {"fold 4": shares[0]}, "5": {"fold 4": shares[1]}}
    summary = figures["summary"]["fold 4"]
    assert summary["mean"] == pytest.approx(sum(shares) / 2, abs=1e-4)
    assert (summary["lowest"], summary["highest"]) == (min(shares), max(shares))
    assert "mean (range)" in (out / "seeds.md").read_text()
    weights = [load_file(out / f"seed{seed}" / "checkpoint.safetensors") for seed in (3, 5)]
    assert not torch.equal(weights[0]["fc.weight"], weights[1]["fc.weight"])


def test_seeds_share_a_time_limit(tmp_path: Path, esc50: Path) -> None:
    asked = plan(esc50, "--minutes", "9", "--out", str(tmp_path))
    limits_s = []

    def fake_train(one: Plan) -> Path:
        limits_s.append(one.limit_s)
        info = checkpoint_info.CheckpointInfo(("a", "b"), one.features, folds_seen=())
        checkpoint.save(one.checkpoint, {"fc.weight": torch.zeros(2, 2)}, info)
        return one.checkpoint

    seeds.every_seed(asked, [1, 2, 3], fake_train)
    assert limits_s == pytest.approx([180.0, 270.0, 540.0], abs=1.0)


# --- keeping the best ---------------------------------------------------------------------


def test_the_best_epoch_is_saved_and_its_validation_fold_counts_as_seen(finished: Path) -> None:
    state = torch.load(finished / "last.pt", weights_only=True)
    best_epoch, best_accuracy = state["best"]
    info = checkpoint_info.read_info(finished / "checkpoint.safetensors")
    assert info.folds_seen == (1, 2, 3)
    assert info.accuracy["fold 3"] == pytest.approx(best_accuracy, abs=1e-4)
    assert info.notes == (
        f"Epoch {best_epoch} of 2 was chosen by its accuracy on fold 3, which therefore counts as "
        "used in training.",
        "Fold 4 was evaluated every 1 epochs for curves and did not influence the training.",
    )


# --- cross-validation ---------------------------------------------------------------------


def test_cross_validation_tests_each_fold_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cross"
    index = smoke.make(tmp_path / "data") / "meta" / "esc50.csv"
    rows = index.read_text().splitlines()
    index.write_text("\n".join(row for row in rows if row[0] not in "34") + "\n")
    train.main(
        ["--data", str(tmp_path / "data"), "--cross-validate", "--out", str(out), "--epochs", "1",
         "--set", "batch=9"]
    )  # fmt: skip
    payload = json.loads((out / "cross-validation.json").read_text())
    assert set(payload["folds"]) == {"1", "2"}
    assert payload["mean"] == pytest.approx(sum(payload["folds"].values()) / 2, abs=1e-4)
    assert "mean ± deviation" in (out / "cross-validation.md").read_text()
    for tested, trained in ((1, 2), (2, 1)):
        info = checkpoint_info.read_info(out / f"fold{tested}" / "checkpoint.safetensors")
        assert info.folds_seen == (trained,)
        assert list(info.accuracy) == [f"fold {tested}"]
        assert info.notes == ()


# --- the plan -----------------------------------------------------------------------------


def plan(esc50: Path, *arguments: str) -> Plan:
    return make_plan(parser().parse_args(["--data", str(esc50), *arguments]))


def test_the_default_folds(esc50: Path) -> None:
    usual = plan(esc50)
    assert (usual.folds, usual.test_fold, usual.validation_fold) == ((1, 2, 3), 4, None)
    assert usual.out == Path("runs/sonoscope-folds123")
    validated = plan(esc50, "--validation-fold", "4")
    assert (validated.folds, validated.test_fold) == ((1, 2), 3)
    everything = plan(esc50, "--test-fold", "none")
    assert (everything.folds, everything.test_fold) == ((1, 2, 3, 4), None)
    chosen = plan(esc50, "--folds", "1", "2", "4", "--test-fold", "3")
    assert (chosen.folds, chosen.test_fold) == ((1, 2, 4), 3)


def test_recipes_are_chosen_by_name_and_changed_by_field(esc50: Path) -> None:
    original = plan(esc50, "--recipe", "original", "--epochs", "7", "--set", "batch=16")
    assert (original.recipe.epochs, original.recipe.batch) == (7, 16)
    assert original.recipe.learning_rate == 0.002
    assert original.features.sample_rate == 22_050


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--folds", "1", "2", "4", "--test-fold", "4"], "--test-fold must not be one of --folds"),
        (["--folds", "1", "2", "--validation-fold", "2"], "--validation-fold must not be one"),
        (["--validation-fold", "3", "--test-fold", "3"], "must not be the same"),
        (["--test-fold", "9"], "has no fold 9; its folds are 1, 2, 3, 4"),
        (["--test-fold", "four"], "a fold number or none"),
        (["--keep", "best"], "--keep best requires --validation-fold"),
        (["--test-fold", "none", "--watch", "3"], "--watch requires a --test-fold"),
        (["--cross-validate", "--test-fold", "3"], "chooses the folds itself"),
        (["--set", "epochs=none"], "epochs must be a whole number"),
        (["--seeds", "1", "2", "--seed", "3"], "--seeds can be combined with neither"),
        (["--seeds", "1", "1"], "a number twice"),
        (["--minutes", "0"], "--minutes must be greater than 0"),
        (["--minutes", "5", "--cross-validate"], "cannot be combined with --cross-validate"),
    ],
)
def test_invalid_options_are_rejected(esc50: Path, arguments: list[str], message: str) -> None:
    with pytest.raises((SettingError, DataError), match=message):
        plan(esc50, *arguments)


def test_without_data_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ESC50_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit) as stopped:
        train.main([])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert "python -m training.prepare" in message
    assert "ESC50_DIR" in message


def test_other_data_is_recorded_with_its_name_and_licence(tmp_path: Path, esc50: Path) -> None:
    data = tmp_path / "my birds"
    for path in sorted((esc50 / "audio").iterdir()):
        label = "hiss" if path.stem.endswith("1") else "tone"
        (data / label).mkdir(parents=True, exist_ok=True)
        (data / label / path.name).write_bytes(path.read_bytes())
    out = tmp_path / "runs" / "mine"
    train.main(
        ["--data", str(data), "--out", str(out), "--data-licence", "CC0", "--epochs", "1",
         "--set", "batch=6", "--set", "precision=fp32"]
    )  # fmt: skip
    info = checkpoint_info.read_info(out / "checkpoint.safetensors")
    assert (info.data, info.data_licence) == ("my birds", "CC0")
    assert info.classes == ("hiss", "tone")
