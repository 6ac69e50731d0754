"""Turn scores into events: spans of one label. Without torch."""

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.checkpoint_info import CheckpointError, digest
from ml.explain.results import Array
from ml.from_json import from_json

# Length of a frame, for which there is one score per class.
FRAME_S = 0.25
# The level after an edge is compared with the level before it, each over this time.
COMPARED_S = 1.2
SMALLEST_DB = 0.1
# How the file of the settings ends, after the checkpoint's name.
SETTINGS_SUFFIX = ".events.json"


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
        Where the class is in frequency, at the peak; None if it is not known.
    """

    label: str
    start_s: float
    end_s: float
    confidence: float
    peak_s: float
    low_hz: float | None = None
    high_hz: float | None = None

    def to_json(self) -> dict[str, str | float | None]:
        """Return the event as it appears in JSON."""
        return dataclasses.asdict(self)


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
    edge_s : float
        How far a start or an end may be moved to a change of the level; 0 for not at all.
    edge_db : float
        Smaller changes of the level move nothing.
    """

    threshold: float = 0.45
    thresholds: dict[str, float] = field(default_factory=dict)
    median_s: float = 1.75
    min_s: float = 0.25
    merge_gap_s: float = 2.0
    edge_s: float = 2.5
    edge_db: float = 3.0


@dataclass(frozen=True, slots=True)
class Scores:
    """How probable each class is in each frame of a recording, and how loud the recording is.

    Attributes
    ----------
    values : (frames, classes) in [0, 1]
        Frame i lasts from i to i + 1 times FRAME_S; the last one ends with the recording.
    duration_s : float
    levels_db : (cells,)
        The mean level of the bands of the spectrogram, in cells of `level_s`.
    level_s : float
    """

    values: Array
    duration_s: float
    levels_db: Array
    level_s: float


# Start and end in seconds.
_Span = tuple[float, float]


def settings_path(checkpoint: Path) -> Path:
    """Return where the settings of a checkpoint lie: `NAME.events.json`."""
    return checkpoint.with_name(checkpoint.stem + SETTINGS_SUFFIX)


def read_settings(checkpoint: Path, classes: Sequence[str], weights: str) -> EventSettings:
    """Read the settings beside a checkpoint; the default ones if there are none.

    Parameters
    ----------
    weights : str
        The digest of the checkpoint's weights, `ml.checkpoint_info.Digest.weights`.

    Raises
    ------
    CheckpointError
        The file is damaged, or belongs to other weights.
    """
    path = settings_path(checkpoint)
    if not path.is_file():
        return EventSettings()
    try:
        content = json.loads(path.read_text())
        belongs_to = content.pop("weights")
        settings: EventSettings = from_json(EventSettings, content)
        _check(settings, classes)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise CheckpointError(f"{path.name} has no usable settings of events: {error}.") from error
    if belongs_to != weights:
        raise CheckpointError(
            f"{path.name} belongs to other weights ({belongs_to}) than those of "
            f"{checkpoint.name} ({weights})."
        )
    return settings


def write_settings(checkpoint: Path, settings: EventSettings) -> None:
    """Write the settings of events of a checkpoint."""
    content = {"weights": digest(checkpoint).weights, **dataclasses.asdict(settings)}
    settings_path(checkpoint).write_text(json.dumps(content, indent=1) + "\n")


def _check(settings: EventSettings, classes: Sequence[str]) -> None:
    """Raises ValueError or TypeError if a value is out of range or names an unknown class."""
    if unknown := settings.thresholds.keys() - set(classes):
        raise ValueError(f"the checkpoint has no class {min(unknown)}")
    for threshold in (settings.threshold, *settings.thresholds.values()):
        if not 0 < threshold <= 1:
            raise ValueError(f"the threshold {threshold} is not between 0 and 1")
    for name in ("median_s", "min_s", "merge_gap_s", "edge_s", "edge_db"):
        value = getattr(settings, name)
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value}")


def find_events(
    scores: Scores, classes: Sequence[str], settings: EventSettings
) -> tuple[Event, ...]:
    """Return the events of all labels by their start, then by falling confidence.

    Events of different labels may overlap.
    """
    edges = _Edges.of(scores)
    found: list[Event] = []
    for number, label in enumerate(classes):
        values = scores.values[:, number]
        least = settings.thresholds.get(label, settings.threshold)
        # Most classes never occur; a median is at most as high as the highest value.
        if values.max() < least:
            continue
        above = _median_filtered(values, settings.median_s) >= least
        spans = (edges.moved(span, settings, scores.duration_s) for span in _spans(above, scores))
        for span in _merged(spans, settings.merge_gap_s):
            # A recording that is shorter than that can still have an event.
            if span[1] - span[0] >= min(settings.min_s, scores.duration_s):
                found.append(_event(label, span, values))
    return tuple(sorted(found, key=lambda event: (event.start_s, -event.confidence)))


def _spans(above: NDArray[np.bool_], scores: Scores) -> Iterator[_Span]:
    edges = np.flatnonzero(np.diff(above, prepend=False, append=False))
    for first, end in edges.reshape(-1, 2).tolist():
        yield first * FRAME_S, min(end * FRAME_S, scores.duration_s)


def _merged(spans: Iterator[_Span], gap_s: float) -> list[_Span]:
    """Join spans that overlap or have a shorter gap between them."""
    found: list[_Span] = []
    for start_s, end_s in spans:
        if found and start_s - found[-1][1] < gap_s:
            found[-1] = (min(found[-1][0], start_s), max(found[-1][1], end_s))
        else:
            found.append((start_s, end_s))
    return found


def _event(label: str, span: _Span, values: Array) -> Event:
    start_s, end_s = span
    first = min(int(start_s / FRAME_S), len(values) - 1)
    peak = first + int(values[first : max(first + 1, math.ceil(end_s / FRAME_S))].argmax())
    peak_s = min(max((peak + 0.5) * FRAME_S, start_s), end_s)
    # Rounded here, so that pages, API and exports show, and filter by, the same number.
    confidence = round(float(values[peak]), 6)
    return Event(label, round(start_s, 3), round(end_s, 3), confidence, round(peak_s, 3))


# --- edges --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Edges:
    """Where a recording gets louder and quieter, in dB: (cells + 1,) each, at the cells' starts.

    0 except where the change is larger than all others near it.
    """

    rises: Array
    falls: Array
    cell_s: float

    @classmethod
    def of(cls, scores: Scores) -> "_Edges":
        cells = len(scores.levels_db)
        changes = np.zeros(cells + 1, np.float32)
        width = max(1, round(COMPARED_S / scores.level_s))
        if cells >= 2 * width:
            sums = np.concatenate([[0], np.cumsum(scores.levels_db, dtype=np.float64)])
            means = (sums[width:] - sums[:-width]) / width
            changes[width : cells - width + 1] = means[width:] - means[:-width]
        return cls(_peaks(changes, width // 2), _peaks(-changes, width // 2), scores.level_s)

    def moved(self, span: _Span, settings: EventSettings, duration_s: float) -> _Span:
        """Move a start to the largest rise near it, and an end to the largest fall."""
        start_s, end_s = span
        far_s, least_db = settings.edge_s, settings.edge_db
        rise_s = self._largest(self.rises, start_s - far_s, min(start_s + far_s, end_s), least_db)
        begin_s = start_s if rise_s is None else rise_s
        fall_s = self._largest(
            self.falls, max(end_s - far_s, begin_s + FRAME_S), end_s + far_s, least_db
        )
        stop_s = end_s if fall_s is None else min(fall_s, duration_s)
        return (begin_s, stop_s) if begin_s < stop_s else span

    def _largest(
        self, changes_db: Array, low_s: float, high_s: float, least_db: float
    ) -> float | None:
        """Return where the largest change between two times is, None if there is none."""
        first = max(0, math.ceil(low_s / self.cell_s))
        part = changes_db[first : max(first, math.floor(high_s / self.cell_s) + 1)]
        if not len(part) or part.max() < max(least_db, SMALLEST_DB):
            return None
        return (first + int(part.argmax())) * self.cell_s


def _peaks(values: Array, around: int) -> Array:
    """Return the values, (n,), that are the largest among so many on either side; 0 elsewhere."""
    padded = np.pad(values, around)
    largest = np.lib.stride_tricks.sliding_window_view(padded, 2 * around + 1).max(axis=-1)
    return np.where(values == largest, values, 0)


def _median_filtered(values: Array, length_s: float) -> Array:
    """Smooth (frames,) by a running median; the ends are repeated beyond the recording."""
    half = round(length_s / FRAME_S) // 2
    if not half:
        return values
    padded = np.pad(values, half, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=-1)
