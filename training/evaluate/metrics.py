"""Predictions for labelled clips and the metrics of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Predictions:
    """A network's predictions for labelled clips, window by window.

    Attributes
    ----------
    logits : (windows, classes)
    clips : (windows,) index of the clip that each window is part of
    labels : (clips,) class indices
    """

    logits: Floats
    clips: Integers
    labels: Integers

    def probabilities(self, temperature: float = 1.0) -> Floats:
        """Return (clips, classes): the mean over each clip's windows, as in an analysis.

        Parameters
        ----------
        temperature : divisor of the logits
        """
        windows = softmax(self.logits.astype(np.float64) / temperature)
        total = np.zeros((len(self.labels), windows.shape[1]))
        np.add.at(total, self.clips, windows)
        return total / np.bincount(self.clips, minlength=len(self.labels))[:, None]

    def take(self, chosen: NDArray[np.bool_]) -> "Predictions":
        """Return the predictions of some clips.

        Parameters
        ----------
        chosen : (clips,) bool
        """
        places = np.cumsum(chosen) - 1
        rows = chosen[self.clips]
        return Predictions(self.logits[rows], places[self.clips[rows]], self.labels[chosen])


def softmax(logits: Floats) -> Floats:
    """Return the softmax of `logits` (rows, classes) over the classes."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def accuracy(probabilities: Floats, labels: Integers, top: int = 1) -> float:
    """Return the share of clips whose label is among the `top` most probable classes.

    Parameters
    ----------
    probabilities : (clips, classes)
    labels : (clips,) class indices
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return float((order == labels[:, None]).any(axis=1).mean())


def log_loss(probabilities: Floats, labels: Integers) -> float:
    """Return the mean negative log-likelihood of the labels, in nats.

    Parameters
    ----------
    probabilities : (clips, classes)
    labels : (clips,) class indices
    """
    own = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(own.clip(1e-12)).mean())


def confusion(probabilities: Floats, labels: Integers) -> NDArray[np.int64]:
    """Return the confusion matrix.

    Parameters
    ----------
    probabilities : (clips, classes)
    labels : (clips,) class indices

    Returns
    -------
    (classes, classes) counts, rows by label and columns by prediction
    """
    classes = probabilities.shape[1]
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (labels, probabilities.argmax(axis=1)), 1)
    return table


def by_class(table: NDArray[np.int64]) -> list[float | None]:
    """Return the accuracy of each class, None for a class without clips.

    Parameters
    ----------
    table : (classes, classes) counts from `confusion`
    """
    return [float(row[index] / row.sum()) if row.sum() else None for index, row in enumerate(table)]


def worst(probabilities: Floats, labels: Integers, most: int) -> list[int]:
    """Return the indices of the most confident wrong predictions, the most confident first.

    Parameters
    ----------
    probabilities : (clips, classes)
    labels : (clips,) class indices
    most : how many to return at most
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return [int(clip) for clip in wrong[order[:most]]]


def likely_range(right: int, clips: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of the share `right` / `clips`, (0, 1) without clips."""
    if not clips:
        return 0.0, 1.0
    z, share = 1.96, right / clips
    middle = share + z * z / (2 * clips)
    spread = z * np.sqrt(share * (1 - share) / clips + z * z / (4 * clips * clips))
    scale = 1 + z * z / clips
    return float((middle - spread) / scale), float((middle + spread) / scale)


def class_indices(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the index of each label in `classes`, (labels,) int64.

    Raises
    ------
    KeyError
        A label is not among the classes.
    """
    places = {name: index for index, name in enumerate(classes)}
    return np.array([places[label] for label in labels], np.int64)
