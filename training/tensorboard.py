"""TensorBoard logs of a run: curves, pictures and sounds. `make tensorboard` shows them."""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from ml.rendering.png import picture
from training.cli import Plan
from training.data.windows import to_float
from training.evaluate import plots
from training.evaluate.metrics import Predictions, accuracy, by_class, confusion, log_loss, worst
from training.figures import pixels

PICTURES, MISTAKES = 8, 8
TEST_NOTE = (
    "**Accuracy/Test** and **Loss/Test** are measured on fold {fold}, which is not used for "
    "training. The fold is evaluated {when} and does not influence the training."
)
VALIDATION_NOTE = (
    "**Accuracy/Validation** and **Loss/Validation** are measured on fold {fold}{chooses}. "
    "Loss/Validation is plain cross-entropy. Loss/Train is higher, because the training sounds are "
    "augmented and their labels are smoothed."
)


class Curves:
    """The writer of a run's logs; its steps are epochs.

    A resumed run removes what was written after `epoch`.
    """

    def __init__(self, plan: Plan, epoch: int) -> None:
        folder = plan.out / "tensorboard"
        self.plan = plan
        self.writer = SummaryWriter(str(folder), purge_step=epoch + 1)
        if epoch == 0:
            self.writer.add_text("Read me", "\n\n".join(_notes(plan)), 0)

    def trained(self, epoch: int, loss: float, rate: float, skipped_steps: int) -> None:
        """Write the training curves of an epoch.

        Parameters
        ----------
        rate : learning rate
        skipped_steps : steps of the whole run so far that were skipped because of non-finite values
        """
        self.writer.add_scalar("Loss/Train", loss, epoch)
        self.writer.add_scalar("Learning_Rate", rate, epoch)
        self.writer.add_scalar("Skipped_Steps", skipped_steps, epoch)

    def distilled(self, epoch: int, losses: dict[str, float]) -> None:
        """Write the mean of each part of the loss of distillation, before weighting."""
        for name, loss in losses.items():
            self.writer.add_scalar(f"Loss parts/{name}", loss, epoch)

    def measured(
        self, epoch: int, fold: str, predictions: Predictions, classes: Sequence[str]
    ) -> float:
        """Write the metrics of a fold, and return its accuracy, 0 to 1.

        Parameters
        ----------
        fold : "Validation" or "Test"
        """
        probabilities = predictions.probabilities()
        right = accuracy(probabilities, predictions.labels)
        self.writer.add_scalar(f"Accuracy/{fold}", right, epoch)
        self.writer.add_scalar(f"Loss/{fold}", log_loss(probabilities, predictions.labels), epoch)
        table = confusion(probabilities, predictions.labels)
        for name, share in zip(classes, by_class(table), strict=True):
            if share is not None:
                self.writer.add_scalar(f"{fold} by class/{name}", share, epoch)
        return right

    def mistakes(
        self,
        epoch: int,
        fold: str,
        predictions: Predictions,
        classes: Sequence[str],
        samples: Tensor,
    ) -> None:
        """Write the confusion matrix of a fold, and the sounds of its worst mistakes.

        Parameters
        ----------
        fold : "Validation" or "Test"
        samples : (windows, samples) int16, row by row the windows of `predictions`
        """
        probabilities = predictions.probabilities()
        table = confusion(probabilities, predictions.labels)
        drawn = pixels(plots.confusion(table, classes))
        self.writer.add_image(f"{fold}/Confusion", drawn, epoch, dataformats="HWC")
        rate = self.plan.features.sample_rate
        for place, clip in enumerate(worst(probabilities, predictions.labels, MISTAKES), 1):
            window = int(np.flatnonzero(predictions.clips == clip)[0])
            name = classes[predictions.labels[clip]]
            answer = classes[probabilities[clip].argmax()]
            sound = to_float(samples[window])[None].clamp(-1, 1)
            tag = f"{fold} mistakes/{place}"
            self.writer.add_audio(tag, sound, epoch, sample_rate=rate)
            caption = f"{name}, predicted as {answer} ({probabilities[clip].max():.0%})"
            self.writer.add_text(tag, caption, epoch)

    def shown(self, epoch: int, shown: Tensor) -> None:
        """Write the first spectrograms of an augmented batch as pictures.

        Parameters
        ----------
        shown : (batch, 1, mels, frames), normalised
        """
        for place, one in enumerate(shown[:PICTURES].cpu().numpy()):
            png = picture(one[0], -2.5, 2.5).png
            image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
            self.writer.add_image(f"Seen in training/{place}", image, epoch, dataformats="HWC")

    def close(self, figures: dict[str, float], epochs: int) -> None:
        """Write the run's settings and final figures, and close the writer.

        Parameters
        ----------
        figures : final metrics by name
        epochs : of the whole run
        """
        settings = dataclasses.asdict(self.plan.recipe) | {"epochs": epochs}
        settings |= {"folds": " ".join(map(str, self.plan.folds))}
        named = {f"hparam/{name}": value for name, value in figures.items()}
        after = epochs + 1  # so that they are written once as well
        self.writer.add_hparams(settings, named, run_name=".", global_step=after)
        self.writer.close()


def _notes(plan: Plan) -> list[str]:
    notes = [f"Folds used for training: {', '.join(map(str, plan.folds))}."]
    if plan.validation_fold is not None:
        chooses = ", which chooses the epoch that is kept" if plan.keep == "best" else ""
        notes.append(VALIDATION_NOTE.format(fold=plan.validation_fold, chooses=chooses))
    if plan.test_fold is not None:
        when = "after the last epoch"
        if plan.watch:
            when = f"every {plan.watch} epochs for these curves, and {when},"
        notes.append(TEST_NOTE.format(fold=plan.test_fold, when=when))
    return notes
