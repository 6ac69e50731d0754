"""Train AudioCNN: `python -m training.train --folds 1 2 3 --test-fold 4`.

The same command resumes an interrupted run after its last finished epoch.
"""

import dataclasses
import json
import math
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ml import checkpoint, checkpoint_info
from ml.checkpoint_info import CheckpointError, FeatureConfig
from ml.features import LogMel
from ml.inference import Classifier
from training import batches, cross_validate, loop, seeds, smoke
from training.augment import augmented
from training.cli import Plan, make_plan, parser
from training.config import SettingError
from training.data.index import DataError, class_names
from training.data.windows import Windows, load_windows, to_float, with_unlabelled
from training.distil import fit
from training.distil.distiller import Distiller
from training.distil.teacher import Teacher
from training.evaluate import measure, report
from training.evaluate.metrics import Predictions
from training.graphs import StepGraphs
from training.loop import Diverged, Run
from training.progress import Progress
from training.tensorboard import Curves
from training.time_limit import TimeLimit

# Spectrograms and the validation fold's confusion matrix are logged every IMAGES_EVERY
# epochs, and about MAX_IMAGES times in a long run.
IMAGES_EVERY, MAX_IMAGES = 10, 20
# The state of a run is 340 MB: short epochs are not all saved.
SAVED_EVERY_S = 30.0


@dataclass(slots=True)
class Work:
    """Everything that a run uses and does not change.

    Attributes
    ----------
    training_rows : (rows,) int64 indices of the windows with a label to train on
    unlabelled_rows : (rows,) int64 indices of the windows without a label, of which each epoch
        draws some
    """

    plan: Plan
    classes: tuple[str, ...]
    windows: Windows
    training_rows: Tensor
    unlabelled_rows: Tensor
    log_mel: LogMel
    device: torch.device

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        recipe = self.plan.recipe
        more = batches.unlabelled_in_epoch(self.training_rows, self.unlabelled_rows, recipe)
        return -(-(len(self.training_rows) + more) // recipe.batch)

    def predict(self, run: Run, fold: int) -> tuple[Tensor, Predictions]:
        """Predict the clips of a fold with the network that the checkpoint will contain.

        Returns
        -------
        rows : (rows,) int64 indices of the fold's windows
        predictions : in the order of `rows`
        """
        rows = self.windows.of(self.plan.examples, [fold])
        logits = loop.predict(
            run.average, self.log_mel, self.windows.samples, rows, self.plan.recipe, run.precision
        )
        clips, places = self.windows.clips[rows].unique(return_inverse=True)
        labels = self.windows.labels[rows].new_zeros(len(clips))
        labels[places] = self.windows.labels[rows]
        return rows, Predictions(logits.numpy(), places.numpy(), labels.numpy())


def train(plan: Plan) -> Path:
    """Train or resume one run, and return the path of the measured checkpoint.

    Raises
    ------
    DataError
        A file is missing or cannot be decoded.
    SettingError
        The run's folder contains a run with other settings.
    Diverged
        The loss or its gradients are not finite in fp32.
    """
    limit = TimeLimit(plan.limit_s) if plan.limit_s else None
    state = _earlier(plan)
    work = _set_up(plan, state)
    run = _start(work, state)
    plan.out.mkdir(parents=True, exist_ok=True)
    curves = Curves(plan, run.epoch)
    _all_epochs(run, work, curves, limit)
    figures = _finish(run, work, curves)
    curves.close(figures, run.epochs)
    report_line = {
        "checkpoint": str(plan.checkpoint),
        "accuracy": figures,
        "epochs": run.epochs,
        "skipped_steps": run.skipped_steps,
        "precision": run.precision,
    }
    print(json.dumps(report_line))
    return plan.checkpoint


def _earlier(plan: Plan) -> dict[str, Any] | None:
    """Return the saved state of the run in this folder, or None.

    Raises SettingError if the run has other settings.
    """
    last = plan.out / "last.pt"
    if not last.is_file():
        return None
    state = torch.load(last, weights_only=True, map_location="cpu")
    asked, begun = plan.settings(), state["settings"]
    if asked != begun:
        other = [name for name in asked if asked[name] != begun.get(name)]
        raise SettingError(
            f"{plan.out} contains a run with other settings ({', '.join(other)}). "
            "Choose another folder with --out."
        )
    return state


def _set_up(plan: Plan, state: dict[str, Any] | None) -> Work:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    windows = load_windows(plan.examples, plan.features, plan.out.parent)
    if plan.unlabelled:
        windows = with_unlabelled(windows, plan.unlabelled, plan.features, plan.out.parent)
    training_rows = windows.of(plan.examples, plan.folds)
    windows = dataclasses.replace(windows, samples=batches.move_to_gpu(windows.samples, device))
    if state:
        features = FeatureConfig(**state["features"])
    elif plan.init:
        features = checkpoint_info.read_info(plan.init).features
    else:
        plain = LogMel(plan.features).to(device)
        mean_db, deviation_db = loop.decibel_statistics(plain, windows.samples, training_rows, 64)
        features = dataclasses.replace(plan.features, mean_db=mean_db, deviation_db=deviation_db)
    classes = class_names(plan.examples)
    return Work(
        plan, classes, windows, training_rows, windows.unlabelled(), LogMel(features).to(device),
        device,
    )  # fmt: skip


def _start(work: Work, state: dict[str, Any] | None) -> Run:
    """Return a new run, or the saved one."""
    plan = work.plan
    distiller = _distiller(work, fitted=state is not None)
    weights = None
    if plan.init and not state:
        info = checkpoint_info.read_info(plan.init)
        weights = checkpoint.load_model(plan.init, info).state_dict()
    run = loop.start(plan.recipe, len(work.classes), work.steps, work.device, weights, distiller)
    if work.device.type == "cuda" and not plan.eager:
        run.graphs = StepGraphs()
    if state:
        run.restore(state)
        print(f"resuming after epoch {run.epoch}", flush=True)
    return run


def _distiller(work: Work, fitted: bool) -> Distiller | None:
    """Return the teacher with a head fitted on the training folds, or None without a teacher.

    Parameters
    ----------
    fitted : a saved state will be loaded, so the head is not fitted
    """
    plan, recipe = work.plan, work.plan.recipe
    if plan.teacher is None:
        return None
    teacher = Teacher(plan.teacher, plan.features.sample_rate)
    distiller = Distiller(teacher, len(work.classes)).to(work.device)
    if fitted:
        return distiller
    fit.fit_head(distiller, recipe, work.windows, work.training_rows)
    _print_accuracy(distiller, work, "of a head on its features")
    if recipe.teacher_epochs:
        fit.fine_tune(distiller, recipe, work.windows, work.training_rows)
        _print_accuracy(distiller, work, f"fine-tuned for {recipe.teacher_epochs} epochs")
    return distiller


def _print_accuracy(distiller: Distiller, work: Work, what: str) -> None:
    """Print the teacher's accuracy on the test fold. Nothing depends on it."""
    plan = work.plan
    if plan.test_fold is not None:
        rows = work.windows.of(plan.examples, [plan.test_fold])
        right = fit.accuracy(distiller, plan.recipe, work.windows, rows)
        print(f"teacher, {what}: {right:.2%} of the windows of fold {plan.test_fold}", flush=True)


def _all_epochs(run: Run, work: Work, curves: Curves, limit: TimeLimit | None) -> None:
    """Train all epochs that are left, and save the state."""
    saved_at = -math.inf
    with Progress(run.epochs, work.steps, run.epoch) as progress:
        if limit:
            limit.start_training()
        while run.epoch < run.epochs:
            loss, accuracy = _epoch(run, work, curves, progress)
            timed = limit is not None and limit.after_epoch(
                run, work.plan.recipe, work.plan.features.window_s
            )
            if timed:
                progress.shorten(run.epochs)
            now = time.monotonic()
            must = timed or run.epoch in (run.epochs, run.best_epoch)
            if must or now - saved_at >= SAVED_EVERY_S:
                _keep_state(run, work)
                saved_at = now
            progress.epoch(run.epoch, loss, accuracy)


def _epoch(run: Run, work: Work, curves: Curves, progress: Progress) -> tuple[float, float | None]:
    """Train and measure one epoch.

    Returns
    -------
    loss : mean over the steps
    accuracy : on the validation fold, 0 to 1; None without one
    """
    plan, recipe = work.plan, work.plan.recipe
    look_every = max(IMAGES_EVERY, run.epochs // MAX_IMAGES)
    if run.epoch % look_every == 0:
        curves.shown(run.epoch + 1, _seen(run, work))
    rows = batches.rows_of_epoch(work.training_rows, work.unlabelled_rows, recipe, run.generator)
    loss = loop.train_epoch(
        run, recipe, work.log_mel, work.windows.samples, work.windows.labels, rows, progress.step
    )
    curves.trained(run.epoch, loss.total, float(run.schedule.get_last_lr()[0]), run.skipped_steps)
    if run.distiller:
        curves.distilled(run.epoch, loss.parts)
    last = run.epoch == run.epochs
    accuracy = None
    if plan.validation_fold is not None:
        rows, predictions = work.predict(run, plan.validation_fold)
        accuracy = curves.measured(run.epoch, "Validation", predictions, work.classes)
        if last or run.epoch % look_every == 0:
            samples = work.windows.samples[rows]
            curves.mistakes(run.epoch, "Validation", predictions, work.classes, samples)
        if plan.keep == "best" and accuracy > run.best_accuracy:
            run.best_epoch, run.best_accuracy = run.epoch, accuracy
            _save(run, work, plan.out / "best.safetensors")
    if plan.test_fold is not None and (last or (plan.watch and run.epoch % plan.watch == 0)):
        rows, predictions = work.predict(run, plan.test_fold)
        curves.measured(run.epoch, "Test", predictions, work.classes)
        if last:
            samples = work.windows.samples[rows]
            curves.mistakes(run.epoch, "Test", predictions, work.classes, samples)
    curves.writer.flush()
    return loss.total, accuracy


def _seen(run: Run, work: Work) -> Tensor:
    """Return an augmented batch (8, 1, mels, frames), with a generator of its own."""
    rows = work.training_rows[:: max(1, len(work.training_rows) // 8)][:8]
    waveform = to_float(work.windows.samples[rows].to(work.device))
    targets = torch.zeros(len(rows), len(work.classes), device=work.device)
    generator = torch.Generator().manual_seed(run.epoch)
    _, picture, _ = augmented(
        waveform, targets, work.plan.recipe, work.log_mel, run.progress, generator
    )
    return picture


def _keep_state(run: Run, work: Work) -> None:
    partial = work.plan.out / "last.partial"
    features = dataclasses.asdict(work.log_mel.config)
    torch.save(run.state() | {"settings": work.plan.settings(), "features": features}, partial)
    partial.replace(work.plan.out / "last.pt")


def _save(run: Run, work: Work, path: Path) -> None:
    plan = work.plan
    seen = [*plan.folds]
    if plan.keep == "best" and plan.validation_fold is not None:
        seen.append(plan.validation_fold)
    info = checkpoint_info.CheckpointInfo(
        classes=work.classes,
        features=work.log_mel.config,
        folds_seen=tuple(sorted(seen)),
        recipe=dataclasses.asdict(plan.recipe) | {"epochs": run.epochs},
        data=plan.described_source(),
        data_licence=plan.licence,
        notes=tuple(_notes(run, plan)),
    )
    checkpoint.save(path, run.average.state_dict(), info)


def _notes(run: Run, plan: Plan) -> list[str]:
    notes = []
    if plan.validation_fold is not None:
        notes.append(
            f"Fold {plan.validation_fold} was evaluated after every epoch and did not influence "
            "the training."
        )
    if plan.keep == "best":
        notes = [
            f"Epoch {run.epoch} of {run.epochs} was chosen by its accuracy on fold "
            f"{plan.validation_fold}, which therefore counts as used in training."
        ]
    if plan.watch:
        notes.append(
            f"Fold {plan.test_fold} was evaluated every {plan.watch} epochs for curves and did not "
            "influence the training."
        )
    if plan.init_note:
        notes.append(plan.init_note)
    if run.skipped_steps:
        notes.append(
            f"Training steps skipped because of non-finite values: {run.skipped_steps}. "
            f"The last epoch was trained in {run.precision}."
        )
    return notes


def _finish(run: Run, work: Work, curves: Curves) -> dict[str, float]:
    """Write the checkpoint, and measure the fp16 file on the clips as an analysis would."""
    plan, path = work.plan, work.plan.checkpoint
    if plan.keep == "best":
        best = plan.out / "best.safetensors"
        checkpoint.save(path, load_file(best), checkpoint_info.read_info(best))
    else:
        _save(run, work, path)
    figures = {}
    for fold in (plan.validation_fold, plan.test_fold):
        if fold is None:
            continue
        examples = plan.of_folds(fold)
        evaluated = measure.predict_clips(Classifier.load(path), examples)
        measured = measure.measure(path, examples, fold, evaluated, plan.source)
        figures[f"fold {fold}"] = round(measured.accuracy, 4)
        report.write(measured, path.parent)  # the test fold's is written last and stays
    measure.change_header(path, accuracy=figures)
    return figures


def main(argv: list[str] | None = None) -> None:
    """Run the command line.

    Parameters
    ----------
    argv : arguments as on the command line; callers in Python pass the same strings
    """
    options = parser().parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="sonoscope-smoke-") as folder:
        if options.smoke:
            options.data = smoke.make(Path(folder) / "synthetic" / "esc50")
        try:
            asked = make_plan(options)
        except (DataError, SettingError) as error:
            parser().error(str(error))
        try:
            if options.cross_validate:
                cross_validate.every_fold(asked, train)
            elif options.seeds:
                seeds.every_seed(asked, options.seeds, train)
            else:
                train(asked)
        except (DataError, SettingError, CheckpointError, Diverged) as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
