"""What distillation adds to a run: the teacher, the layers that compare with it, and the loss."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.model import ModelOutput
from training.config import Recipe
from training.distil.teacher import Teacher

PARTS = ("labels", "teacher", "features")
# A feature that hardly changes over the training sounds is not blown up to a deviation of 1.
MIN_DEVIATION = 1e-3


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the teacher makes of a batch.

    Attributes
    ----------
    logits : (batch, classes) of its head
    features : (batch, size) its features and AudioSet logits, standardised
    """

    logits: Tensor
    features: Tensor


class Distiller(nn.Module):
    """The teacher with a head for the classes, and the loss of a student that learns from it.

    Attributes
    ----------
    head : from the teacher's standardised features to the classes; see training/distil/fit.py
    imitation : from the student's pooled features to the teacher's standardised features. It is
        trained together with the student and not shipped.
    mean, deviation : (size,) of the teacher's features over augmented training sounds
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, teacher: Teacher, classes: int, student_features: int = 512) -> None:
        super().__init__()
        self.teacher = teacher.requires_grad_(False)
        self.register_buffer("mean", torch.zeros(teacher.size))
        self.register_buffer("deviation", torch.ones(teacher.size))
        # Both start at zero, so that a teacher changes none of the run's random numbers.
        self.head = _zeros(teacher.size, classes).requires_grad_(False)
        self.imitation = _zeros(student_features, teacher.size)

    def standardised(self, features: Tensor) -> Tensor:
        """Return features (batch, size) with mean 0 and deviation 1 over the training sounds."""
        return (features - self.mean) / self.deviation.clamp_min(MIN_DEVIATION)

    def forward(self, waveform: Tensor) -> Knowledge:
        """Return what the teacher makes of a waveform (batch, samples)."""
        features = self.standardised(self.teacher(waveform))
        return Knowledge(self.head(features), features)

    def losses(
        self, output: ModelOutput, targets: Tensor, knowledge: Knowledge, recipe: Recipe
    ) -> Tensor:
        """Return the loss, the weighted sum of three parts, followed by these parts.

        The parts are the cross-entropy to the labels, the Kullback-Leibler divergence from the
        teacher's head, and the mean squared error of its features.

        Parameters
        ----------
        targets : (batch, classes) probabilities. With sounds without labels, they may add up to
            less than 1.

        Returns
        -------
        (4,) the loss, and its parts in the order of PARTS
        """
        logits = output.logits.float()
        if recipe.unlabelled_share:
            targets = filled(targets, knowledge)
        labels = F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
        teacher = F.kl_div(
            logits.log_softmax(1), knowledge.logits.log_softmax(1),
            reduction="batchmean", log_target=True,
        )  # fmt: skip
        features = F.mse_loss(self.imitation(output.pooled.float()), knowledge.features)
        loss = (
            recipe.label_weight * labels
            + recipe.teacher_weight * teacher
            + recipe.feature_weight * features
        )
        return torch.stack([loss, labels.detach(), teacher.detach(), features.detach()])


def filled(targets: Tensor, knowledge: Knowledge) -> Tensor:
    """Return the targets (batch, classes) with what is missing to 1 filled by the teacher.

    A sound without a label has a target of zeros; mixed with another one, a part of it is missing.
    """
    missing = (1 - targets.sum(1, keepdim=True)).clamp_min(0)
    return targets + missing * knowledge.logits.softmax(1)


def _zeros(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
