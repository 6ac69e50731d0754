"""Tests of the Modal job in this process, with eight clips and a fake Volume."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from modal.types import FileEntry, FileEntryType
from torch.utils.tensorboard import SummaryWriter

from ml import checkpoint_info
from tests.server import ROOT, free_port, wait_for
from training import modal_job
from training.modal_job import arguments, committed, run_name, table

pytestmark = pytest.mark.filterwarnings("ignore:.*executing locally.*:UserWarning")


class Volume:
    """A fake Volume whose files are in `folder`, as if mounted there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commits = 0

    def commit(self) -> None:
        self.commits += 1

    def listdir(self, path: str, recursive: bool) -> list[FileEntry]:
        kinds = {True: FileEntryType.FILE, False: FileEntryType.DIRECTORY}
        return [
            FileEntry(str(one.relative_to(self.folder)), kinds[one.is_file()], 0, 0)
            for one in (self.folder / path).rglob("*")
        ]

    def read_file(self, path: str) -> Iterator[bytes]:
        data = (self.folder / path).read_bytes()
        yield from (data[start : start + 1000] for start in range(0, len(data), 1000))


@pytest.fixture
def runs(esc50: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Volume:
    """Replace Modal's two Volumes. The data is already prepared."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "esc50").symlink_to(esc50)
    (tmp_path / "runs").mkdir()
    volume = Volume(tmp_path / "runs")
    monkeypatch.setattr(modal_job, "DATA", tmp_path / "data")
    monkeypatch.setattr(modal_job, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(modal_job, "runs", volume)
    monkeypatch.setattr(modal_job, "data", Volume(tmp_path / "data"))
    return volume


def test_it_trains_commits_and_resumes(runs: Volume, capsys: pytest.CaptureFixture[str]) -> None:
    argv = arguments("tiny", "1 2 3", 4, 1, 7, "")
    done = modal_job.train.local("tiny", argv)
    assert done["run"] == "tiny"
    assert set(done["accuracy"]) == {"fold 4"}
    info = checkpoint_info.read_info(runs.folder / "tiny" / "checkpoint.safetensors")
    assert info.folds_seen == (1, 2, 3)
    assert (info.recipe["epochs"], info.recipe["seed"]) == (1, 7)
    assert runs.commits >= 1
    before = runs.commits
    again = modal_job.train.local("tiny", argv)
    assert "resuming after epoch 1" in capsys.readouterr().out
    assert again == done
    assert runs.commits > before


def test_an_invalid_run_fails_with_the_reason(runs: Volume) -> None:
    modal_job.train.local("tiny", arguments("tiny", "1 2 3", 4, 1, 7, ""))
    with pytest.raises(RuntimeError, match="other settings"):
        modal_job.train.local("tiny", arguments("tiny", "1 2 3", 4, 1, 8, ""))


def test_it_passes_its_arguments_to_training(runs: Volume) -> None:
    command_line = " ".join(arguments("a", "1,2 3", 4, 9, 7, "original"))
    assert f"--data {modal_job.DATA / 'esc50'} --out {runs.folder / 'a'} " in command_line
    assert "--folds 1 2 3 --test-fold 4 --epochs 9 --seed 7 --recipe original" in command_line
    command_line = " ".join(arguments("a", "", 2, 0, 0, ""))
    assert command_line.endswith(" --folds 1 3 4 5 --test-fold 2")
    command_line = " ".join(arguments("a", "", 2, 0, 0, "", "mn04_as.onnx", 9.5))
    assert command_line.endswith(f" --teacher {modal_job.DATA / 'mn04_as.onnx'} --minutes 9.5")


def test_other_settings_give_another_run_name() -> None:
    names = {
        run_name("", 5, 0, 0, ""),
        run_name("", 4, 0, 0, ""),
        run_name("1 2 3", 5, 0, 0, ""),
        run_name("", 5, 9, 0, ""),
        run_name("", 5, 0, 9, ""),
        run_name("", 5, 0, 0, "original"),
        run_name("", 5, 0, 0, "", "mn04_as.onnx"),
        run_name("", 5, 0, 0, "", "", 9.5),
    }
    assert len(names) == 8
    assert run_name("1 2 3", 5, 0, 0, "") == run_name("1,2,3", 5, 0, 0, "")


def test_it_commits_at_intervals_and_when_interrupted() -> None:
    commits: list[None] = []
    three = threading.Event()

    def commit() -> None:
        commits.append(None)
        if len(commits) == 3:
            three.set()

    with pytest.raises(KeyboardInterrupt), committed(commit, every_s=0.01):
        assert three.wait(30)
        now = len(commits)
        raise KeyboardInterrupt
    assert len(commits) > now
    after = len(commits)
    threading.Event().wait(0.1)
    assert len(commits) == after


def test_data_is_downloaded_once(runs: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def fetch(argv: list[str]) -> int:
        asked.append(argv)
        return 0

    monkeypatch.setitem(sys.modules, "training.prepare", SimpleNamespace(main=fetch))
    modal_job.prepare.local()
    assert asked == []
    (modal_job.DATA / "esc50").unlink()
    modal_job.prepare.local()
    assert asked == [["--out", str(modal_job.DATA / "esc50")]]
    assert modal_job.data.commits == 1  # type: ignore[attr-defined]


def test_a_failed_download_is_an_error(runs: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    (modal_job.DATA / "esc50").unlink()
    broken = SimpleNamespace(main=lambda argv: 1)
    monkeypatch.setitem(sys.modules, "training.prepare", broken)
    with pytest.raises(RuntimeError, match="could not be prepared"):
        modal_job.prepare.local()
    assert modal_job.data.commits == 0  # type: ignore[attr-defined]


def test_cross_validation_makes_five_calls_and_tests_each_fold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[str, list[str]]] = []

    def spawn(run: str, argv: list[str]) -> SimpleNamespace:
        calls.append((run, argv))
        fold = int(argv[argv.index("--test-fold") + 1])
        done = {"run": run, "accuracy": {f"fold {fold}": 0.8 + fold / 100}}
        return SimpleNamespace(get=lambda: done)

    prepared: list[None] = []
    monkeypatch.setattr(modal_job, "train", SimpleNamespace(spawn=spawn))
    preparing = SimpleNamespace(remote=lambda: prepared.append(None))
    monkeypatch.setattr(modal_job, "prepare", preparing)
    modal_job.cross_validate.local(epochs=3)
    assert len(prepared) == 1
    assert len({run for run, _ in calls}) == 5
    for fold, (_, argv) in enumerate(calls, 1):
        training_folds = argv[argv.index("--folds") + 1 : argv.index("--test-fold")]
        assert set(training_folds) == {"1", "2", "3", "4", "5"} - {str(fold)}
        assert argv[argv.index("--test-fold") + 1] == str(fold)
    command_line = capsys.readouterr().out.splitlines()
    assert command_line[1].split()[:2] == ["1", "81.00%"]
    assert "83.00%" in command_line[-1]
    assert "1.58%" in command_line[-1]


def test_the_table_needs_every_fold() -> None:
    with pytest.raises(ValueError, match="shorter"):
        table([{"run": "a", "accuracy": {"fold 1": 0.5}}])


def test_a_run_is_downloaded_without_the_files_to_resume_it(runs: Volume, tmp_path: Path) -> None:
    for name in ("checkpoint.safetensors", "last.pt", "tensorboard/events.1", "last.partial"):
        path = runs.folder / "tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 500)
    modal_job.download_run("tiny", str(tmp_path / "home"))
    target = tmp_path / "home" / "tiny"
    downloaded = {str(one.relative_to(target)) for one in target.rglob("*") if one.is_file()}
    assert downloaded == {"checkpoint.safetensors", "tensorboard/events.1"}
    assert (target / "tensorboard" / "events.1").read_bytes() == b"tensorboard/events.1" * 500


def test_the_board_shows_the_curves_of_runs(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "tiny" / "tensorboard")) as writer:
        writer.add_scalar("Loss/Train", 1.5, 1)
    port = free_port()
    script = (
        "import sys; from pathlib import Path; from training.modal_job import launch_board; "
        f"launch_board(Path({str(tmp_path)!r}), {port}); sys.stdin.read()"
    )
    address = f"http://127.0.0.1:{port}/data/runs"
    board = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE)
    try:
        wait_for(lambda: command_line(address) == ["tiny/tensorboard"], 60, "the run")
    finally:
        board.kill()
        board.communicate()


def command_line(address: str) -> Any:
    try:
        return requests.get(address, timeout=10).json()
    except requests.ConnectionError:
        return None


def test_a_failed_volume_action_is_repeated() -> None:
    """A Volume with open files cannot be committed or reloaded."""
    over = threading.Event()
    tries: list[None] = []

    def refresh() -> None:
        tries.append(None)
        if len(tries) == 1:
            raise RuntimeError("there are open files")
        over.set()

    modal_job.repeat(refresh, 0.01, over)
    assert len(tries) == 2
