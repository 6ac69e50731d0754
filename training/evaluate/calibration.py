"""Whether confidence can be believed, and the one number that makes it more believable."""

import numpy as np
from numpy.typing import NDArray

from ml.evaluation import Bin, Calibration
from training.evaluate.metrics import Floats, Integers, Predictions, log_loss

BINS = 15
DRAWS = 2000


def calibration(probabilities: Floats, labels: Integers) -> Calibration:
    """probabilities: (clips, classes) · labels: (clips,)."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = _bin(confidence)
    bins = []
    for number in range(BINS):
        inside = place == number
        some = bool(inside.any())
        bins.append(
            Bin(
                low=number / BINS,
                high=(number + 1) / BINS,
                clips=int(inside.sum()),
                confidence=float(confidence[inside].mean()) if some else None,
                accuracy=float(right[inside].mean()) if some else None,
            )
        )
    return Calibration(
        ece=float(_errors(confidence, right[None])[0]),
        band=_band(confidence),
        log_loss=log_loss(probabilities, labels),
        bins=tuple(bins),
    )


def _bin(confidence: Floats) -> NDArray[np.int64]:
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def _errors(confidence: Floats, right: NDArray[np.bool_]) -> Floats:
    """The expected calibration error of each draw. right: (draws, clips)."""
    member = np.eye(BINS)[_bin(confidence)]  # (clips, bins)
    surplus = (right - confidence) @ member  # (draws, bins): right answers beyond the promised
    return np.abs(surplus).sum(axis=1) / len(confidence)


def _band(confidence: Floats) -> tuple[float, float]:
    """5th and 95th percentile of the error where labels are drawn from the probabilities.

    An answer is right in such a draw exactly with the probability that it was given.
    """
    random = np.random.default_rng(1)
    right = random.random((DRAWS, len(confidence))) < confidence
    low, high = np.percentile(_errors(confidence, right), [5, 95])
    return float(low), float(high)


def fit_temperature(answered: Predictions) -> float:
    """The temperature that makes the labels most likely, between 0.05 and 20."""
    low, high = np.log(0.05), np.log(20.0)
    golden = (5**0.5 - 1) / 2

    def cost(log_temperature: float) -> float:
        probabilities = answered.probabilities(float(np.exp(log_temperature)))
        return log_loss(probabilities, answered.labels)

    for _ in range(40):
        first, second = high - golden * (high - low), low + golden * (high - low)
        if cost(first) < cost(second):
            high = second
        else:
            low = first
    return round(float(np.exp((low + high) / 2)), 4)


def crossed(answered: Predictions) -> Floats:
    """Probabilities (clips, classes) with a temperature that each clip had no part in.

    Fitted on every other clip and used on the rest, and the other way round: what the fitted
    temperature is worth on clips that did not choose it.
    """
    odd = np.arange(len(answered.labels)) % 2 == 1
    result = np.zeros((len(answered.labels), answered.logits.shape[1]))
    for half in (odd, ~odd):
        temperature = fit_temperature(answered.take(~half))
        result[half] = answered.take(half).probabilities(temperature)
    return result
