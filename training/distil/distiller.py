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
    _sums: Tensor
    _steps: Tensor

    def __init__(self, teacher: Teacher, classes: int, student_features: int = 512) -> None:
        super().__init__()
        self.teacher = teacher.requires_grad_(False)
        self.register_buffer("mean", torch.zeros(teacher.size))
        self.register_buffer("deviation", torch.ones(teacher.size))
        # Both start at zero, so that a teacher changes none of the run's random numbers.
        self.head = _zeros(teacher.size, classes).requires_grad_(False)
        self.imitation = _zeros(student_features, teacher.size)
        # Of the parts of the loss, for `mean_losses`. Buffers that are changed in place, so that
        # no step waits for the device and a step can be a CUDA graph.
        self.register_buffer("_sums", torch.zeros(len(PARTS)), persistent=False)
        self.register_buffer("_steps", torch.zeros(()), persistent=False)

    def standardised(self, features: Tensor) -> Tensor:
        """Return features (batch, size) with mean 0 and deviation 1 over the training sounds."""
        return (features - self.mean) / self.deviation.clamp_min(MIN_DEVIATION)

    def forward(self, waveform: Tensor) -> Knowledge:
        """Return what the teacher makes of a waveform (batch, samples)."""
        features = self.standardised(self.teacher(waveform))
        return Knowledge(self.head(features), features)

    def loss(
        self, output: ModelOutput, targets: Tensor, knowledge: Knowledge, recipe: Recipe
    ) -> Tensor:
        """Return the weighted sum of the three parts of the loss, a scalar.

        They are the cross-entropy to the labels, the Kullback-Leibler divergence from the
        teacher's head, and the mean squared error of its features.

        Parameters
        ----------
        targets : (batch, classes) probabilities
        """
        logits = output.logits.float()
        labels = F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
        teacher = F.kl_div(
            logits.log_softmax(1), knowledge.logits.log_softmax(1),
            reduction="batchmean", log_target=True,
        )  # fmt: skip
        features = F.mse_loss(self.imitation(output.pooled.float()), knowledge.features)
        parts = torch.stack([labels, teacher, features]).detach()
        finite = parts.isfinite().all()
        self._sums += torch.where(finite, parts, 0.0)
        self._steps += finite
        return (
            recipe.label_weight * labels
            + recipe.teacher_weight * teacher
            + recipe.feature_weight * features
        )

    def mean_losses(self) -> dict[str, float]:
        """Return the mean of each part of the loss since the last call, without failed steps."""
        means = (self._sums / self._steps).tolist()
        self._sums.zero_()
        self._steps.zero_()
        return dict(zip(PARTS, means, strict=True))


def _zeros(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
