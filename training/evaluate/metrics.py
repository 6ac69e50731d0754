"""What a network answered for labelled clips, and what can be said of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Predictions:
    """logits: (windows, classes) · clips: (windows,) which clip each is of · labels: (clips,)."""

    logits: Floats
    clips: Integers
    labels: Integers

    def probabilities(self, temperature: float = 1.0) -> Floats:
        """(clips, classes): the mean over each clip's windows, as users are answered."""
        windows = softmax(self.logits.astype(np.float64) / temperature)
        total = np.zeros((len(self.labels), windows.shape[1]))
        np.add.at(total, self.clips, windows)
        return total / np.bincount(self.clips, minlength=len(self.labels))[:, None]

    def take(self, chosen: NDArray[np.bool_]) -> "Predictions":
        """Of those clips alone. chosen: (clips,)."""
        places = np.cumsum(chosen) - 1
        rows = chosen[self.clips]
        return Predictions(self.logits[rows], places[self.clips[rows]], self.labels[chosen])


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def accuracy(probabilities: Floats, labels: Integers, top: int = 1) -> float:
    """The share of clips whose label is among the `top` most probable."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return float((order == labels[:, None]).any(axis=1).mean())


def log_loss(probabilities: Floats, labels: Integers) -> float:
    """The mean negative log-likelihood of the labels."""
    own = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(own.clip(1e-12)).mean())


def confusion(probabilities: Floats, labels: Integers) -> NDArray[np.int64]:
    """(classes, classes) counts: row by the label, column by the answer."""
    classes = probabilities.shape[1]
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (labels, probabilities.argmax(axis=1)), 1)
    return table


def by_class(table: NDArray[np.int64]) -> list[float | None]:
    """The accuracy of each class, None for one without clips."""
    return [float(row[index] / row.sum()) if row.sum() else None for index, row in enumerate(table)]


def worst(probabilities: Floats, labels: Integers, most: int) -> list[int]:
    """The clips that were answered wrongly with the most confidence, the worst first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return [int(clip) for clip in wrong[order[:most]]]


def likely_range(right: int, clips: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if not clips:
        return 0.0, 1.0
    z, share = 1.96, right / clips
    middle = share + z * z / (2 * clips)
    spread = z * np.sqrt(share * (1 - share) / clips + z * z / (4 * clips * clips))
    scale = 1 + z * z / clips
    return float((middle - spread) / scale), float((middle + spread) / scale)


def class_indices(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    places = {name: index for index, name in enumerate(classes)}
    return np.array([places[label] for label in labels], np.int64)
