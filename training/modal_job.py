"""Train on a GPU on Modal: `modal run training/modal_job.py --test-fold 5`.

`::cross_validate` trains five times, testing each fold once; `::tensorboard` shows the curves of
all runs; `::download` copies a run to this machine. A run's folder is on a Volume, so an
interrupted run resumes where it stopped, also if the same command is given again. See
docs/modal.md.
"""

import statistics
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import modal
from modal.types import FileEntryType

from ml.modal_image import GPU, image

FOLDS = (1, 2, 3, 4, 5)
HOUR_S = 3600
COMMIT_EVERY_S = 30
BOARD_PORT = 6006
# Files that are needed only to resume a run. They are as large as all others together.
NOT_DOWNLOADED = ("last.pt", ".partial")

DATA, RUNS = Path("/data"), Path("/runs")
data = modal.Volume.from_name("sonoscope-data", create_if_missing=True)
# A run's folder holds its checkpoints and its TensorBoard logs.
runs = modal.Volume.from_name("sonoscope-runs", create_if_missing=True)

app = modal.App("sonoscope-training")
training_image = image("ml", "training")


def arguments(
    run: str,
    folds: str,
    test_fold: int,
    epochs: int,
    seed: int,
    recipe: str,
    teacher: str = "",
    minutes: float = 0.0,
) -> list[str]:
    """Return the command line of training.train.

    Parameters
    ----------
    folds : used for training, as in "1 2 3"; empty: all but `test_fold`
    epochs, seed : 0: the recipe's
    recipe : empty: the default
    teacher : name of a file on the data Volume; empty: none
    minutes : time limit; 0: none
    """
    training_folds = folds.replace(",", " ").split() or [
        str(fold) for fold in FOLDS if fold != test_fold
    ]
    argv = ["--data", str(DATA / "esc50"), "--out", str(RUNS / run)]
    argv += ["--folds", *training_folds, "--test-fold", str(test_fold)]
    argv += ["--epochs", str(epochs)] if epochs else []
    argv += ["--seed", str(seed)] if seed else []
    argv += ["--recipe", recipe] if recipe else []
    argv += ["--teacher", str(DATA / teacher)] if teacher else []
    argv += ["--minutes", f"{minutes:g}"] if minutes else []
    return argv


def run_name(
    folds: str,
    test_fold: int,
    epochs: int,
    seed: int,
    recipe: str,
    teacher: str = "",
    minutes: float = 0.0,
) -> str:
    """Return the name of a run's folder; the same settings give the same name."""
    training_folds = "".join(folds.replace(",", " ").split()) or "others"
    parts = [recipe or "run", f"folds-{training_folds}", f"test-{test_fold}"]
    parts += [f"epochs-{epochs}"] if epochs else []
    parts += [f"seed-{seed}"] if seed else []
    parts += [PurePosixPath(teacher).stem] if teacher else []
    return "_".join(parts + ([f"minutes-{minutes:g}"] if minutes else []))


@app.function(image=training_image, volumes={str(DATA): data}, timeout=HOUR_S, retries=2)
def prepare() -> None:
    """Download ESC-50 to its Volume, on a machine without a GPU."""
    from training.prepare import main as prepare_data

    if (DATA / "esc50" / "meta" / "esc50.csv").is_file():
        return
    if prepare_data(["--out", str(DATA / "esc50")]):
        raise RuntimeError("ESC-50 could not be prepared; see the error above.")
    data.commit()


@app.function(
    image=training_image,
    gpu=GPU,
    cpu=4,
    volumes={str(DATA): data, str(RUNS): runs},
    timeout=3 * HOUR_S,
    # Retry at once and as often as Modal allows: a retry resumes where the last one ended.
    retries=modal.Retries(max_retries=10, initial_delay=0.0),
    single_use_containers=True,
)
def train(run: str, argv: list[str]) -> dict[str, Any]:
    """Train one run.

    Returns
    -------
    The run's name, and the accuracies in its checkpoint by fold.

    Raises
    ------
    RuntimeError
        The arguments or the data are invalid, or training diverged.
    """
    from ml import checkpoint_info
    from training import train as training

    try:
        with committed(runs.commit):
            training.main(argv)
    except SystemExit as error:
        raise RuntimeError(f"Training failed: {error}") from error
    info = checkpoint_info.read_info(RUNS / run / "checkpoint.safetensors")
    return {"run": run, "accuracy": dict(info.accuracy)}


@contextmanager
def committed(commit: Callable[[], None], every_s: float = COMMIT_EVERY_S) -> Iterator[None]:
    """Call `commit` at intervals during the block, and once after it, even if the block fails."""
    over = threading.Event()
    thread = threading.Thread(target=repeat, args=(commit, every_s, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        commit()


def repeat(action: Callable[[], None], every_s: float, over: threading.Event) -> None:
    """Call `action` every `every_s` seconds until `over` is set.

    A Volume with an open file refuses to commit or reload; the next call tries again.
    """
    while not over.wait(every_s):
        try:
            action()
        except (modal.Error, RuntimeError) as error:
            print(f"failed; trying again in {every_s:g} s: {error}")


@app.local_entrypoint()
def main(
    folds: str = "",
    test_fold: int = 5,
    epochs: int = 0,
    seed: int = 0,
    recipe: str = "",
    teacher: str = "",
    minutes: float = 0.0,
) -> None:
    """Train one run.

    folds: used for training, as in "1 2 3"; by default all but the test fold.
    teacher: name of a file on the data Volume.
    """
    prepare.remote()
    settings = (folds, test_fold, epochs, seed, recipe, teacher, minutes)
    run = run_name(*settings)
    # Not `remote`, because Modal keeps its result for a day only.
    done = train.spawn(run, arguments(run, *settings)).get()
    print(done)
    print(f"Download it with: modal run training/modal_job.py::download --run {run}")


# Modal must not restart it while its five runs continue, because two runs cannot share a folder.
@app.function(image=training_image, timeout=24 * HOUR_S, nonpreemptible=True)
def cross_validate(epochs: int = 0, seed: int = 0, recipe: str = "") -> None:
    """Train five runs in parallel, each on four folds and tested on the fifth."""
    prepare.remote()
    calls = []
    for fold in FOLDS:
        run = run_name("", fold, epochs, seed, recipe)
        calls.append(train.spawn(run, arguments(run, "", fold, epochs, seed, recipe)))
    print(table([call.get() for call in calls]))


def table(done: Sequence[dict[str, Any]]) -> str:
    """Return the accuracies as text: a line per fold, then mean and standard deviation.

    Parameters
    ----------
    done : the results of `train`, in the order of FOLDS
    """
    shares = [one["accuracy"][f"fold {fold}"] for fold, one in zip(FOLDS, done, strict=True)]
    lines = ["fold  accuracy  run"]
    lines += [
        f"{fold:>4}  {share:8.2%}  {one['run']}"
        for fold, share, one in zip(FOLDS, shares, done, strict=True)
    ]
    mean, spread = statistics.mean(shares), statistics.stdev(shares)
    return "\n".join([*lines, f"mean {mean:9.2%}  ± {spread:.2%} (standard deviation)"])


# --- TensorBoard and download --------------------------------------------------------------

# Separate apps: they train nothing, and `modal run` finds them by these names. Their
# entrypoints are plain functions, so that `main` stays the one that needs no name.
tensorboard = modal.App("sonoscope-tensorboard")
download = modal.App("sonoscope-download")


@tensorboard.function(
    image=training_image, volumes={str(RUNS): runs}, max_containers=1, timeout=24 * HOUR_S
)
@modal.concurrent(max_inputs=100)
@modal.web_server(BOARD_PORT, startup_timeout=60)
def board() -> None:
    launch_board(RUNS, BOARD_PORT)
    fresh = (runs.reload, COMMIT_EVERY_S, threading.Event())
    threading.Thread(target=repeat, args=fresh, daemon=True).start()


def launch_board(folder: Path, port: int) -> None:
    from tensorboard import program

    server = program.TensorBoard()
    # The fast loader holds files open, and a Volume with open files cannot be refreshed.
    server.configure(logdir=str(folder), host="0.0.0.0", port=port, load_fast="false")  # noqa: S104 - inside Modal's container
    server.launch()


def show_board() -> None:
    """Serve the curves of all runs, until Ctrl-C."""
    print(f"TensorBoard: {board.get_web_url()}")
    print("Press Ctrl-C to stop. Anyone with the address can open it.")
    threading.Event().wait()


tensorboard.local_entrypoint(name="show")(show_board)


def download_run(run: str, to: str = "runs") -> None:
    """Copy a run's checkpoint and logs from the Volume into the folder `to`."""
    for entry in runs.listdir(run, recursive=True):
        if entry.type != FileEntryType.FILE or entry.path.endswith(NOT_DOWNLOADED):
            continue
        target = Path(to) / run / PurePosixPath("/" + entry.path).relative_to(f"/{run}")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            for block in runs.read_file(entry.path):
                file.write(block)
        print(target)


download.local_entrypoint(name="home")(download_run)
