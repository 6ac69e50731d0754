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
from training.explain.time_limit import TimeLimit

SAVED_EVERY_S, SHOWN_EVERY = 60.0, 20


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Attributes
    ----------
    init : Path or None
        A decoder to start from.
    limit_s : float or None
        Seconds in which this command must end the training, a resumed one as well.
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
    limit = TimeLimit(plan.limit_s) if plan.limit_s else None
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
        started_from=before.checkpoint if before else "",
    )
    _all_steps(run, frozen, plan.out, settings, header, limit)
    if plan.recipe.mask_area:
        loop.shift_to_area(run.average, frozen, plan.recipe.mask_area, plan.recipe.seed)
    path = checkpoint_info.decoder_path(plan.checkpoint)
    _save_decoder(path, run, header)
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
    out: Path,
    settings: dict[str, object],
    header: DecoderInfo,
    limit: TimeLimit | None,
) -> None:
    """Take all steps that are left."""
    saved_s = time.monotonic()
    while run.step < run.steps:
        of_sound = run.on_sound
        loop.take_step(run, frozen)
        if limit:
            limit.after_step(run, of_sound, frozen.log_mel.config.window_s)
        if run.step % SHOWN_EVERY == 0 or run.step == run.steps:
            shown = "  ".join(f"{name} {value:.3f}" for name, value in run.means.items())
            print(f"step {run.step}/{run.steps}  {shown}", flush=True)
        if time.monotonic() - saved_s > SAVED_EVERY_S or run.step == run.steps:
            saved_s = time.monotonic()
            _save(run, out, settings, header)


def _save(run: Run, out: Path, settings: dict[str, object], header: DecoderInfo) -> None:
    partial = out / "last.partial"
    torch.save(run.state() | {"settings": settings}, partial)
    partial.replace(out / "last.pt")
    _save_decoder(out / "decoder.safetensors", run, header)


def _save_decoder(path: Path, run: Run, header: DecoderInfo) -> None:
    """Write the decoder as it is now, its recipe with the number of steps of the schedule."""
    recipe = dataclasses.asdict(run.recipe) | {"steps": run.steps}
    header = dataclasses.replace(header, recipe=recipe, figures=run.figures)
    decoder_file.save(path, run.average.state_dict(), header)


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
