"""Tell whether a clip is probably none of the classes, by its distance in the embedding.

A sound unlike the training clips lies far from all of them: the score is minus the squared
Mahalanobis distance to the nearest class (Lee et al., *A simple unified framework for detecting
out-of-distribution samples*, NeurIPS 2018), with one covariance for all classes. It is stored in a
compact form: the directions in which a class varies most, and one variance for all others.
"""

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.checkpoint_info import EmbeddingStatistics

DIRECTIONS = 32
# A variance below this share of the largest one is zero up to rounding.
MIN_VARIANCE = 1e-8
# Width of the embedding of AudioCNN.
EMBEDDING = 512

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class ClassDistance:
    """Where the training clips of each class lie in the embedding.

    Attributes
    ----------
    means : (classes, 512)
        The mean embedding of each class.
    directions : (k, 512)
        Orthonormal directions in which the clips of a class vary most.
    variances : (k,)
        Along these directions.
    rest_variance : float
        In every other direction.
    """

    means: Floats
    directions: Floats
    variances: Floats
    rest_variance: float

    def scores(self, embeddings: Floats) -> Floats:
        """Return minus the squared distance to the nearest class, (windows,).

        Parameters
        ----------
        embeddings : (windows, 512)
        """
        differences = embeddings[:, None] - self.means[None]  # (windows, classes, 512)
        along = differences @ self.directions.T  # (windows, classes, k)
        rest = differences - along @ self.directions
        squared = (along**2 / self.variances).sum(2) + (rest**2).sum(2) / self.rest_variance
        return -squared.min(axis=1)

    def to_info(self) -> EmbeddingStatistics:
        """Return the statistics as they are stored in a header, rounded to float16."""
        return EmbeddingStatistics(
            means=_to_text(self.means),
            directions=_to_text(self.directions),
            variances=tuple(float(one) for one in self.variances),
            rest_variance=self.rest_variance,
        )

    @classmethod
    def from_info(cls, info: EmbeddingStatistics) -> "ClassDistance":
        """Read the statistics of a header.

        Raises
        ------
        ValueError, TypeError
            They are damaged: not numbers, of the wrong count, or a variance that is not positive.
        """
        variances = np.array(info.variances, np.float32)
        directions = _from_text(info.directions).reshape(len(variances), -1)
        means = _from_text(info.means).reshape(-1, directions.shape[1])
        for numbers in (means, directions, variances, info.rest_variance):
            if not np.isfinite(numbers).all():
                raise ValueError("a number is not finite")
        if min(variances.min(), info.rest_variance) <= 0:
            raise ValueError("a variance is not positive")
        return cls(means, directions, variances, info.rest_variance)


def fit(embeddings: Floats, labels: NDArray[np.integer]) -> ClassDistance:
    """Measure where the clips of each class lie.

    Parameters
    ----------
    embeddings : (clips, 512)
        Of the clips that the network was trained on.
    labels : (clips,)
        Class indices; every class occurs.

    Raises
    ------
    ValueError
        There are too few clips for DIRECTIONS directions, or they vary in too few directions, for
        example because many are copies of one another.
    """
    classes = int(labels.max()) + 1
    if len(embeddings) - classes <= DIRECTIONS:
        raise ValueError(f"{len(embeddings)} clips of {classes} classes are too few.")
    embeddings = embeddings.astype(np.float64)
    means = np.stack([embeddings[labels == label].mean(axis=0) for label in range(classes)])
    within = embeddings - means[labels]
    variances, directions = np.linalg.eigh(within.T @ within / len(within))
    first, last = variances[:-DIRECTIONS], variances[-DIRECTIONS:]
    if min(first.mean(), last[0]) <= MIN_VARIANCE * last[-1]:
        raise ValueError("the clips vary in too few directions")
    return ClassDistance(means, directions[:, -DIRECTIONS:].T, last, float(first.mean()))


def _to_text(values: Floats) -> str:
    return base64.b64encode(values.astype("<f2").tobytes()).decode("ascii")


def _from_text(text: str) -> Floats:
    """Raises ValueError if the text is not base64 of whole float16 numbers."""
    return np.frombuffer(base64.b64decode(text, validate=True), "<f2").astype(np.float32)
