"""The scores of a recording, from its windows. Without torch."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ml.checkpoint_info import FeatureConfig
from ml.events import FRAME_S, Event, Scores
from ml.explain.results import Array
from ml.places import LAYER4_STEP, LEVEL_FRAMES
from ml.predictions import ClipPrediction

# The logits of a column are divided by it before the softmax. Higher than the temperature of
# windows, because a column is an uncertain part of one.
COLUMN_TEMPERATURE = 1.0


def scores_of(predicted: ClipPrediction, features: FeatureConfig, duration_s: float) -> Scores:
    """Return how probable each class is in each frame of a recording.

    The score of a frame in one window is the geometric mean of two probabilities: that of the
    window, and that of the columns of layer4 around the frame, between which it is interpolated.
    Overlapping windows are averaged.
    """
    frames = max(1, int(np.ceil(duration_s / FRAME_S - 1e-9)))
    sums = np.zeros((frames, predicted.window_probabilities.shape[1]), np.float32)
    counts = np.zeros((frames, 1), np.float32)
    # The centre of the last frame may lie beyond the end of the last window.
    end_s = predicted.window_starts_s[-1] + features.window_s
    centres_s = np.minimum((np.arange(frames) + 0.5) * FRAME_S, np.nextafter(end_s, 0))
    column_s = LAYER4_STEP * features.hop_samples / features.sample_rate
    windows = zip(
        predicted.window_starts_s,
        predicted.window_probabilities,
        predicted.window_columns,
        strict=True,
    )
    for start_s, probabilities, columns in windows:
        first, end = np.searchsorted(centres_s, (start_s, start_s + features.window_s))
        scores = np.sqrt(probabilities * _softmax(columns.astype(np.float32) / COLUMN_TEMPERATURE))
        sums[first:end] += _interpolated(scores, (centres_s[first:end] - start_s) / column_s)
        counts[first:end] += 1
    sums /= np.maximum(counts, 1)
    return Scores(sums, duration_s, _levels_db(predicted, features), _level_s(features))


def with_ranges(
    event: Event, number: int, predicted: ClipPrediction, features: FeatureConfig
) -> Event:
    """Return the event with its frequency range, from the window that is most sure at its peak.

    Parameters
    ----------
    number : int
        The class of the event.
    """
    starts_s = np.array(predicted.window_starts_s)
    around_s = (event.peak_s - features.window_s, event.peak_s)
    first, end = np.searchsorted(starts_s, around_s, "right")
    first = min(first, len(starts_s) - 1)
    window = first + int(predicted.window_probabilities[first:end, number].argmax())
    low, high = predicted.window_ranges_hz[window, number].tolist()
    if np.isnan(low):
        return event
    return dataclasses.replace(event, low_hz=round(low, 1), high_hz=round(high, 1))


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _interpolated(rows: Array, places: NDArray[np.floating]) -> Array:
    """Interpolate (columns, classes) linearly at places between the columns, (n,)."""
    places = places.clip(0, len(rows) - 1)
    before = places.astype(int)
    share = (places - before)[:, None].astype(np.float32)
    return rows[before] * (1 - share) + rows[np.minimum(before + 1, len(rows) - 1)] * share


def _level_s(features: FeatureConfig) -> float:
    return LEVEL_FRAMES * features.hop_samples / features.sample_rate


def _levels_db(predicted: ClipPrediction, features: FeatureConfig) -> Array:
    """Return the levels of the whole recording, (cells,), from those of its windows."""
    level_s, starts_s = _level_s(features), predicted.window_starts_s
    in_window = predicted.window_levels_db.shape[1]
    firsts = [round(start_s / level_s) for start_s in starts_s]
    found = np.zeros(firsts[-1] + in_window, np.float32)
    for first, levels in zip(firsts, predicted.window_levels_db, strict=True):
        found[first : first + in_window] = levels
    return found
