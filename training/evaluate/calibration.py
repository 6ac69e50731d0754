"""Measure how well confidence matches accuracy, and fit the temperature that corrects it."""

import numpy as np
from numpy.typing import NDArray

from ml.evaluation import Bin, Calibration
from training.evaluate.metrics import Floats, Integers, Predictions, log_loss

BINS = 15
DRAWS = 2000


def calibration(probabilities: Floats, labels: Integers) -> Calibration:
    """Measure the calibration of predictions in bins of equal width.

    Parameters
    ----------
    probabilities : (clips, classes)
    labels : (clips,) class indices
    """
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
    """Return the expected calibration error (draws,). right: (draws, clips) bool."""
    member = np.eye(BINS)[_bin(confidence)]  # (clips, bins)
    surplus = (right - confidence) @ member  # (draws, bins): correct ones beyond the expected
    return np.abs(surplus).sum(axis=1) / len(confidence)


def _band(confidence: Floats) -> tuple[float, float]:
    """Return the 5th and 95th percentile of the error of a perfectly calibrated network.

    Each draw takes the confidence (clips,) as the probability that the prediction is right.
    """
    random = np.random.default_rng(1)
    right = random.random((DRAWS, len(confidence))) < confidence
    low, high = np.percentile(_errors(confidence, right), [5, 95])
    return float(low), float(high)


def fit_temperature(predictions: Predictions) -> float:
    """Return the temperature with the lowest log loss on `predictions`.

    Golden section search between 0.05 and 20.
    """
    low, high = np.log(0.05), np.log(20.0)
    golden = (5**0.5 - 1) / 2

    def cost(log_temperature: float) -> float:
        probabilities = predictions.probabilities(float(np.exp(log_temperature)))
        return log_loss(probabilities, predictions.labels)

    for _ in range(40):
        first, second = high - golden * (high - low), low + golden * (high - low)
        if cost(first) < cost(second):
            high = second
        else:
            low = first
    return round(float(np.exp((low + high) / 2)), 4)


def crossed(predictions: Predictions) -> Floats:
    """Return probabilities with a temperature that was fitted on other clips (two-fold).

    The temperature fitted on every other clip is used on the rest, and vice versa. This
    shows the effect of a fitted temperature on clips that it was not fitted on.

    Returns
    -------
    (clips, classes)
    """
    odd = np.arange(len(predictions.labels)) % 2 == 1
    result = np.zeros((len(predictions.labels), predictions.logits.shape[1]))
    for half in (odd, ~odd):
        temperature = fit_temperature(predictions.take(~half))
        result[half] = predictions.take(half).probabilities(temperature)
    return result
