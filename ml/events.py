"""Turn the probabilities of windows into events: spans of one label. Without torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ml.explain.results import Array

# Length of a frame, for which there is one score per class.
FRAME_S = 0.5


@dataclass(frozen=True, slots=True)
class Event:
    """A span of one label in a recording.

    Attributes
    ----------
    confidence : float
        The highest score, 0 to 1.
    peak_s : float
        Where the score is highest.
    low_hz, high_hz : float or None
        Where the attribution lies, at the peak; None if it is not known.
    """

    label: str
    start_s: float
    end_s: float
    confidence: float
    peak_s: float
    low_hz: float | None = None
    high_hz: float | None = None


@dataclass(frozen=True, slots=True)
class EventSettings:
    """How scores become events. docs/recordings.md explains the values.

    Attributes
    ----------
    threshold : float
        An event begins and ends where the smoothed score crosses it.
    thresholds : dict of str to float
        For single classes, instead of `threshold`.
    median_s : float
        Length of the median filter that smooths the scores.
    min_s : float
        Shorter events are left out.
    merge_gap_s : float
        Events of one label with a shorter gap between them are one.
    """

    threshold: float = 0.3
    thresholds: dict[str, float] = field(default_factory=dict)
    median_s: float = 1.0
    min_s: float = 0.25
    merge_gap_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Scores:
    """How probable each class is in each frame of a recording.

    Attributes
    ----------
    values : (frames, classes) in [0, 1]
        Frame i lasts from i to i + 1 times FRAME_S; the last one ends with the recording.
    duration_s : float
    """

    values: Array
    duration_s: float


def scores_of(
    probabilities: Array, starts_s: Sequence[float], window_s: float, duration_s: float
) -> Scores:
    """Return the scores: in each frame, the mean of the windows that contain its centre.

    Parameters
    ----------
    probabilities : (windows, classes)
    starts_s : sequence of float
        Where each window begins.
    """
    frames = max(1, int(np.ceil(duration_s / FRAME_S - 1e-9)))
    sums = np.zeros((frames, probabilities.shape[1]))
    counts = np.zeros((frames, 1))
    centres_s = (np.arange(frames) + 0.5) * FRAME_S
    for start_s, row in zip(starts_s, probabilities, strict=True):
        first, end = np.searchsorted(centres_s, (start_s, start_s + window_s))
        sums[first:end] += row
        counts[first:end] += 1
    return Scores((sums / np.maximum(counts, 1)).astype(np.float32), duration_s)


def find_events(
    scores: Scores, classes: Sequence[str], settings: EventSettings
) -> tuple[Event, ...]:
    """Return the events of all labels by their start, then by falling confidence.

    Events of different labels may overlap.
    """
    smooth = _median_filtered(scores.values, settings.median_s)
    least = np.array([settings.thresholds.get(name, settings.threshold) for name in classes])
    above = smooth >= least
    found = [
        event
        for number in np.flatnonzero(above.any(axis=0)).tolist()
        for event in _of_label(
            classes[number], scores.values[:, number], above[:, number], scores, settings
        )
    ]
    return tuple(sorted(found, key=lambda event: (event.start_s, -event.confidence)))


def _of_label(
    label: str,
    values: Array,
    above: NDArray[np.bool_],
    scores: Scores,
    settings: EventSettings,
) -> Iterator[Event]:
    edges = np.flatnonzero(np.diff(above, prepend=False, append=False))
    spans: list[tuple[int, int]] = []
    for first, end in edges.reshape(-1, 2).tolist():
        if spans and (first - spans[-1][1]) * FRAME_S < settings.merge_gap_s:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((first, end))
    for first, end in spans:
        start_s, end_s = first * FRAME_S, min(end * FRAME_S, scores.duration_s)
        # A recording that is shorter than that can still have an event.
        if end_s - start_s < min(settings.min_s, scores.duration_s):
            continue
        peak = first + int(values[first:end].argmax())
        peak_s = min((peak + 0.5) * FRAME_S, end_s)
        yield Event(label, start_s, round(end_s, 3), float(values[peak]), round(peak_s, 3))


def _median_filtered(values: Array, length_s: float) -> Array:
    """Smooth (frames, classes) by a running median; the ends are repeated beyond the recording."""
    half = round(length_s / FRAME_S) // 2
    if not half:
        return values
    padded = np.pad(values, ((half, half), (0, 0)), mode="edge")
    shown = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    return np.median(shown, axis=-1)
