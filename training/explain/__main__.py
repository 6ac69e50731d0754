"""Train the mask decoder of a checkpoint: `python -m training.explain CHECKPOINT`.

The same command resumes a run that was interrupted. It trains on the folds that the checkpoint was
trained on, and writes the decoder beside the checkpoint. With --channels, it writes the sounds that
excite each channel most instead. See docs/explanations.md.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ml import checkpoint_info
from ml.checkpoint import load_model
from ml.checkpoint_info import CheckpointError
from ml.explain import decoder_file
from ml.explain.decoder_file import DecoderInfo
from ml.explain.masking import Masking
from ml.features import LogMel
from ml.forward import folded
from ml.inference import pick_precision
from training.cli import NO_DATA
from training.config import SettingError, changed, esc50_dir
from training.data.index import DataError, Example, class_names, read_index
from training.data.windows import load_windows
from training.explain import channels, loop
from training.explain.loop import Frozen, Run
from training.explain.recipe import ExplainRecipe

SAVED_EVERY_S, SHOWN_EVERY = 60.0, 20
# A time limit shortens the schedule after so many steps, of which the first do not count.
MEASURED_STEPS, UNCOUNTED_STEPS = 20, 5
# Share of the limit that is left free, because not all steps take the same time.
MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Attributes
    ----------
    init : Path or None
        A decoder to start from.
    limit_s : float or None
        Seconds in which the training must end.
    out : Path
        Folder of the run.
    """

    checkpoint: Path
    examples: tuple[Example, ...]
    recipe: ExplainRecipe
    init: Path | None
    limit_s: float | None
    out: Path


def train(plan: Plan) -> Path:
    """Train or resume a run, and return the path of the decoder.

    Raises
    ------
    CheckpointError
        The checkpoint cannot be used.
    DataError
        A file is missing or cannot be decoded.
    SettingError
        The run's folder contains a run with other settings.
    """
    began_s = time.monotonic()
    info = checkpoint_info.read_info(plan.checkpoint)
    weights = checkpoint_info.digest(plan.checkpoint).weights
    before = decoder_file.read_header(plan.init) if plan.init else None
    settings: dict[str, object] = {
        "recipe": dataclasses.asdict(plan.recipe),
        "weights": weights,
        "init": checkpoint_info.digest(plan.init).sha256 if plan.init else "",
    }
    frozen = _frozen(plan)
    initial = decoder_file.load(plan.init).state_dict() if plan.init else None
    run = loop.start(len(info.classes), plan.recipe, initial)
    last = plan.out / "last.pt"
    if last.is_file():
        state = torch.load(last, weights_only=True)
        if state["settings"] != settings:
            raise SettingError(f"{plan.out} contains a run with other settings; choose another "
                               "folder with --out.")  # fmt: skip
        run.restore(state)
        print(f"resuming after step {run.step}", flush=True)
    plan.out.mkdir(parents=True, exist_ok=True)
    header = DecoderInfo(
        checkpoint=plan.checkpoint.stem,
        weights=weights,
        classes=len(info.classes),
        folds_seen=tuple(sorted({*info.folds_seen, *(before.folds_seen if before else ())})),
        recipe=dataclasses.asdict(plan.recipe) | {"steps": run.steps},
        started_from=before.checkpoint if before else "",
    )
    figures = _all_steps(run, frozen, plan, settings, header, began_s)
    header = dataclasses.replace(
        header, figures=figures, recipe=header.recipe | {"steps": run.steps}
    )
    path = decoder_file.beside(plan.checkpoint)
    decoder_file.save(path, run.average.state_dict(), header)
    return path


def _frozen(plan: Plan) -> Frozen:
    info = checkpoint_info.read_info(plan.checkpoint)
    names = class_names(plan.examples)
    if names != info.classes:
        raise DataError("The data has other classes than the checkpoint.")
    windows = load_windows(plan.examples, info.features, plan.out.parent)
    log_mel = LogMel(info.features)
    model = folded(load_model(plan.checkpoint, info), pick_precision(torch.device("cpu")))
    rows = windows.of(plan.examples, info.folds_seen)
    if not len(rows):
        raise DataError("The data has none of the folds that the checkpoint was trained on.")
    return Frozen(
        model, info.temperature, log_mel, Masking(log_mel), windows.samples, windows.labels, rows
    )


def _all_steps(
    run: Run,
    frozen: Frozen,
    plan: Plan,
    settings: dict[str, object],
    header: DecoderInfo,
    began_s: float,
) -> dict[str, float]:
    """Take all steps that are left, and return the means of the last figures."""
    means: dict[str, float] = {}
    saved_s = first_s = time.monotonic()
    taken = 0
    while run.step < run.steps:
        for name, value in loop.take_step(run, frozen).items():
            means[name] = 0.97 * means.get(name, value) + 0.03 * value
        taken += 1
        now_s = time.monotonic()
        if taken == UNCOUNTED_STEPS:
            first_s = now_s
        if plan.limit_s and run.step == MEASURED_STEPS:
            step_s = (now_s - first_s) / (MEASURED_STEPS - UNCOUNTED_STEPS)
            left_s = (1 - MARGIN) * plan.limit_s - (now_s - began_s)
            run.steps = steps_in_time(run, frozen.log_mel.config.window_s, step_s, left_s)
        if run.step % SHOWN_EVERY == 0 or run.step == run.steps:
            shown = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
            print(f"step {run.step}/{run.steps}  {shown}", flush=True)
        if now_s - saved_s > SAVED_EVERY_S or run.step == run.steps:
            saved_s = now_s
            _save(run, plan.out, settings, header)
    return {name: round(value, 4) for name, value in means.items() if name in loop.FIGURES}


def steps_in_time(run: Run, window_s: float, step_s: float, left_s: float) -> int:
    """Return how many steps a run can have, those that are done included.

    The steps at the end are assumed to take longer in proportion to the length of their windows.

    Parameters
    ----------
    window_s : float
        Length of a whole window.
    step_s : float
        Seconds of a step with windows of the recipe's `crop_s`.
    left_s : float
        Seconds that are left.
    """
    share = run.recipe.sound_share
    mean_s = step_s * (1 - share + share * max(1.0, window_s / run.recipe.crop_s))
    return max(run.step + 1, min(run.steps, run.step + int(left_s / mean_s)))


def _save(run: Run, out: Path, settings: dict[str, object], header: DecoderInfo) -> None:
    partial = out / "last.partial"
    torch.save(run.state() | {"settings": settings}, partial)
    partial.replace(out / "last.pt")
    decoder_file.save(out / "decoder.safetensors", run.average.state_dict(), header)


def parser() -> argparse.ArgumentParser:
    command_line = argparse.ArgumentParser(prog="python -m training.explain", description=__doc__)
    add = command_line.add_argument
    add("checkpoint", type=Path)
    add("--data", type=Path, help="a folder or a CSV file; default: ESC50_DIR, else data/esc50")
    add("--init", type=Path, metavar="DECODER", help="start from the weights of another decoder")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="set a recipe field")
    add("--seed", type=int, help="same as --set seed=N")
    add("--minutes", type=float, help="end the training within this time, with fewer steps")
    add("--out", type=Path, help="folder of the run; default: runs/explain-CHECKPOINT")
    add("--channels", action="store_true", help="write the sounds that excite each channel most")
    return command_line


def make_plan(options: argparse.Namespace) -> Plan:
    """Read the list of clips and make the plan that the options ask for.

    Raises
    ------
    DataError
        There are no sounds.
    SettingError
        A setting is invalid.
    """
    data = options.data or esc50_dir()
    if data is None or not data.exists():
        raise DataError(NO_DATA)
    if options.minutes is not None and not options.minutes > 0:
        raise SettingError("--minutes must be greater than 0")
    seed = [] if options.seed is None else [f"seed={options.seed}"]
    return Plan(
        checkpoint=options.checkpoint,
        examples=tuple(read_index(data)),
        recipe=changed(ExplainRecipe(), [*seed, *options.set]),
        init=options.init,
        limit_s=None if options.minutes is None else 60 * options.minutes,
        out=options.out or Path("runs") / f"explain-{options.checkpoint.stem}",
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments as on the command line.
    """
    options = parser().parse_args(argv)
    try:
        plan = make_plan(options)
        if options.channels:
            print(channels.write(plan.checkpoint, plan.examples))
        else:
            print(train(plan))
    except (CheckpointError, DataError, SettingError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
