"""The command line of training, and the plan of a run."""

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.checkpoint_info import CheckpointError, FeatureConfig, read_info
from training.config import (
    NEEDS_TEACHER,
    RECIPES,
    UNLABELLED_SHARE,
    Recipe,
    SettingError,
    changed,
    esc50_dir,
    small,
)
from training.data.index import (
    DataError,
    Example,
    class_names,
    fingerprint,
    fingerprint_of_files,
    fold_numbers,
    is_esc50,
    read_index,
    read_unlabelled,
)
from training.distil.teacher import digest, teacher_name

ESC50 = ("ESC-50 (K. J. Piczak, 2015)", "CC BY-NC 3.0")
NO_DATA = (
    "no training data found: run `python -m training.prepare`, set ESC50_DIR, or pass a folder or "
    "a CSV file with --data"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """One training run.

    Attributes
    ----------
    folds : used for training
    test_fold : measured only, without influence on the training
    validation_fold : may choose the epoch, see `keep`
    keep : "last" epoch, or the "best" by accuracy on `validation_fold`
    watch : also measure the test fold after every so many epochs, for curves; 0: never
    limit_s : seconds in which the training must end; None: no limit
    eager : do not use CUDA graphs
    source, licence : of the data, for the checkpoint
    teacher : ONNX file of the network to distil from
    unlabelled : files of sounds without labels
    init : checkpoint whose weights the run starts from
    init_note : what the checkpoint says of `init`
    """

    data: Path
    examples: tuple[Example, ...]
    recipe: Recipe
    features: FeatureConfig
    folds: tuple[int, ...]
    test_fold: int | None
    validation_fold: int | None
    keep: str
    watch: int
    limit_s: float | None
    eager: bool
    out: Path
    source: str
    licence: str
    teacher: Path | None = None
    unlabelled: tuple[Path, ...] = ()
    init: Path | None = None
    init_note: str = ""

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint.safetensors"

    def settings(self) -> dict[str, Any]:
        """Return the settings that must stay the same for a run to be continued."""
        return {
            "recipe": dataclasses.asdict(self.recipe),
            "features": dataclasses.asdict(self.features),
            "data": fingerprint(self.examples),
            "unlabelled": fingerprint_of_files(self.unlabelled),
            "folds": list(self.folds),
            "validation_fold": self.validation_fold,
            "keep": self.keep,
        }

    def described_source(self) -> str:
        """Return what the network learned from, for the checkpoint."""
        if self.teacher is None:
            return self.source
        folds = ", ".join(map(str, self.folds))
        more = f", and on {len(self.unlabelled):,} sounds without labels" if self.unlabelled else ""
        return (
            f"distilled from {teacher_name(self.teacher)} on {self.source}, folds {folds} "
            f"({self.licence}){more}"
        )

    def of_folds(self, *folds: int | None) -> list[Example]:
        return [example for example in self.examples if example.fold in folds]


def parser() -> argparse.ArgumentParser:
    command_line = argparse.ArgumentParser(
        prog="python -m training.train",
        description="Train AudioCNN. The same command resumes a run that was interrupted. "
        "See docs/training.md.",
    )
    add = command_line.add_argument
    add("--data", type=Path, help="a folder or a CSV file; default: ESC50_DIR, else data/esc50")
    add("--recipe", choices=RECIPES, default="sonoscope")
    add("--teacher", type=Path, metavar="FILE.onnx", help="also learn from this network's output")
    add("--unlabelled", type=Path, metavar="PATH", help="with --teacher, also learn from sounds "
        "without labels: a folder, or a CSV file with the column filename")  # fmt: skip
    add("--init", type=Path, metavar="CHECKPOINT", help="start from the weights of a checkpoint")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="set a recipe field")
    add("--epochs", type=int, help="same as --set epochs=N")
    add("--seed", type=int, help="same as --set seed=N")
    add("--seeds", type=int, nargs="+", metavar="N", help="one run per seed, and a summary")
    add("--minutes", type=float, help="end the training within this time, with fewer epochs than "
        "the recipe's if necessary; with --seeds, all runs together")  # fmt: skip
    add("--folds", type=int, nargs="+", help="folds to train on; default: all "
        "except the test and validation folds")  # fmt: skip
    add("--test-fold", help="fold to test on after the last epoch, or none; it does not influence "
        "the training; default: the last fold")  # fmt: skip
    add("--validation-fold", type=int, help="fold to evaluate after every epoch")
    add("--keep", choices=("last", "best"), default="last", help="epoch to save as the checkpoint")
    add("--watch", type=int, default=0, metavar="N",
        help="also evaluate the test fold every N epochs, for curves")  # fmt: skip
    add("--out", type=Path, help="folder of the run; default: runs/RECIPE-foldsNNN")
    add("--data-licence", default="not stated", help="licence of your own sounds")
    add("--eager", action="store_true", help="on a GPU, do not use CUDA graphs")
    add("--smoke", action="store_true", help="a run of a few seconds on synthetic sounds")
    add("--cross-validate", action="store_true", help="one run per fold; each fold is tested once")
    return command_line


def recipe_of(options: argparse.Namespace) -> tuple[Recipe, FeatureConfig]:
    """Return the recipe with the settings of the command line applied, and its features.

    Raises
    ------
    SettingError
        `--set` names an unknown field of the recipe, a value is invalid, or the recipe requires a
        teacher or sounds without labels.
    """
    setup = RECIPES[options.recipe]
    if options.recipe == NEEDS_TEACHER and not options.teacher:
        raise SettingError(f"--recipe {NEEDS_TEACHER} requires --teacher, the file of a network")
    if options.smoke:
        setup = small(setup.recipe)
    short = [
        f"{name}={value}"
        for name, value in (("epochs", options.epochs), ("seed", options.seed))
        if value is not None
    ]
    recipe = changed(setup.recipe, [*short, *options.set])
    for name in ("teacher", "init"):
        if getattr(recipe, name):
            raise SettingError(f"{name} is not set by --set; name the file with --{name}")
    teacher, init = (digest(path) if path else "" for path in (options.teacher, options.init))
    share = _unlabelled_share(options, recipe)
    recipe = dataclasses.replace(recipe, teacher=teacher, init=init, unlabelled_share=share)
    return recipe, setup.features


def _unlabelled_share(options: argparse.Namespace, recipe: Recipe) -> float:
    if options.unlabelled is None:
        if recipe.unlabelled_share:
            raise SettingError("unlabelled_share requires --unlabelled, sounds without labels")
        return 0.0
    if not options.teacher:
        raise SettingError(
            "--unlabelled requires --teacher: without labels, only a teacher says what a sound is"
        )
    return recipe.unlabelled_share or UNLABELLED_SHARE


def make_plan(options: argparse.Namespace) -> Plan:
    """Read the data and make the plan that the options ask for.

    Raises
    ------
    DataError
        There are no sounds, or the index cannot be used.
    SettingError
        Options, folds or recipe settings are invalid or contradict each other.
    """
    recipe, features = recipe_of(options)
    data = options.data or esc50_dir()
    if data is None or not data.exists():
        raise DataError(NO_DATA if data is None else f"{NO_DATA} ({data} does not exist)")
    examples = read_index(data)
    there = fold_numbers(examples)
    test = _test_fold(options, there)
    validation = options.validation_fold
    rest = [fold for fold in there if fold not in (test, validation)]
    folds = tuple(options.folds or rest)
    _check_folds(folds, test, validation, there)
    _check_options(options, test)
    init_note = ""
    if options.init:
        seen = {*folds, *([validation] if options.keep == "best" else [])}
        init_note = _check_init(options.init, class_names(examples), features, seen)
    source, licence = _source(options, data)
    return Plan(
        data=data,
        examples=tuple(examples),
        recipe=recipe,
        features=features,
        folds=folds,
        test_fold=test,
        validation_fold=validation,
        keep=options.keep,
        watch=options.watch,
        limit_s=None if options.minutes is None else 60 * options.minutes,
        eager=options.eager,
        out=options.out or Path("runs") / _name(options, folds),
        source=source,
        licence=licence,
        teacher=options.teacher,
        unlabelled=read_unlabelled(options.unlabelled) if options.unlabelled else (),
        init=options.init,
        init_note=init_note,
    )


def _check_options(options: argparse.Namespace, test: int | None) -> None:
    named = options.folds or options.test_fold or options.validation_fold is not None
    if options.cross_validate and (named or options.watch):
        raise SettingError(
            "--cross-validate chooses the folds itself; remove --folds, --test-fold, "
            "--validation-fold and --watch"
        )
    if options.seeds and (options.seed is not None or options.cross_validate):
        raise SettingError("--seeds can be combined with neither --seed nor --cross-validate")
    if options.seeds and len(set(options.seeds)) < len(options.seeds):
        raise SettingError("--seeds must not contain a number twice")
    if options.minutes is not None and not options.minutes > 0:
        raise SettingError("--minutes must be greater than 0")
    if options.minutes is not None and options.cross_validate:
        raise SettingError("--minutes cannot be combined with --cross-validate")
    if options.keep == "best" and options.validation_fold is None:
        raise SettingError(
            "--keep best requires --validation-fold: choosing the epoch by its accuracy on the "
            "test fold would bias the test accuracy"
        )
    if options.watch and test is None:
        raise SettingError("--watch requires a --test-fold")
    if options.cross_validate and options.init:
        raise SettingError(
            "--cross-validate tests every fold, so it cannot start from a checkpoint that has "
            "seen some; remove --init"
        )


def _check_init(
    path: Path, classes: Sequence[str], features: FeatureConfig, seen: set[int | None]
) -> str:
    """Return a note on the checkpoint at `path`, from which a run on folds `seen` starts.

    Raises SettingError if it cannot start from it.
    """
    try:
        info = read_info(path)
    except (CheckpointError, OSError) as error:
        raise SettingError(f"--init: {error}") from error
    others = sorted(set(info.folds_seen) - seen)
    if others:
        raise SettingError(
            f"{path.name} was trained on fold {', '.join(map(str, others))}, which is not used "
            "for this training: an accuracy on it would be too high"
        )
    if list(info.classes) != list(classes):
        raise SettingError(f"{path.name} has other classes than the data")
    mean_db, deviation_db = features.mean_db, features.deviation_db
    if dataclasses.replace(info.features, mean_db=mean_db, deviation_db=deviation_db) != features:
        raise SettingError(f"{path.name} was trained with other features than the recipe's")
    return f"The training started from the weights of {path.stem} ({info.data})."


def _source(options: argparse.Namespace, data: Path) -> tuple[str, str]:
    """Return the source of the sounds and their licence."""
    if options.smoke:
        return "synthetic sounds", "none needed"
    return ESC50 if is_esc50(data) else (data.stem, options.data_licence)


def _name(options: argparse.Namespace, folds: Sequence[int]) -> str:
    if options.smoke:
        return "smoke"
    if options.cross_validate:
        return f"{options.recipe}-cross"
    return f"{options.recipe}-folds{''.join(map(str, folds))}"


def _test_fold(options: argparse.Namespace, there: Sequence[int]) -> int | None:
    asked = options.test_fold
    if asked == "none":
        return None
    if asked is not None:
        if not asked.isdecimal():
            raise SettingError(f"--test-fold must be a fold number or none, not {asked!r}")
        return int(asked)
    untaken = [
        fold
        for fold in there
        if fold not in (options.folds or ()) and fold != options.validation_fold
    ]
    # If every fold is used for training, there is none to test on.
    return untaken[-1] if untaken and (options.folds or len(untaken) > 1) else None


def _check_folds(
    folds: Sequence[int], test: int | None, validation: int | None, there: Sequence[int]
) -> None:
    for name, fold in (("--test-fold", test), ("--validation-fold", validation)):
        if fold is not None and fold in folds:
            raise SettingError(f"{name} must not be one of --folds")
    if test is not None and test == validation:
        raise SettingError("--test-fold and --validation-fold must not be the same")
    wanted = [*folds, *(fold for fold in (test, validation) if fold is not None)]
    absent = [fold for fold in wanted if fold not in there]
    if absent:
        raise SettingError(
            f"the data has no fold {', '.join(map(str, absent))}; its folds are "
            f"{', '.join(map(str, there))}"
        )
    if not folds:
        raise SettingError("no fold is left to train on; choose folds with --folds")
