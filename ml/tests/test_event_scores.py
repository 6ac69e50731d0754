"""The scores of recordings, and the frequency ranges of classes."""

import dataclasses

import numpy as np
import pytest

from ml.checkpoint_info import FeatureConfig
from ml.event_scores import scores_of, with_ranges
from ml.events import FRAME_S, Event, EventSettings, find_events
from ml.places import Places, band_edges_hz
from ml.predictions import ClipPrediction

FEATURES = FeatureConfig()
LABELS = ("dog", "rain")
COLUMNS, CELLS = 10, 78
# From the middle of a window on, the second class has all columns.
CHANGING = np.where(np.arange(COLUMNS)[:, None] < 5, [20.0, 0.0], [0.0, 20.0])


def predicted(columns: list[np.ndarray], starts_s: tuple[float, ...]) -> ClipPrediction:
    count = len(columns)
    levels = np.arange(count)[:, None] * np.ones(CELLS)
    return ClipPrediction(
        probabilities=np.full(2, 0.5, np.float32),
        window_probabilities=np.full((count, 2), 0.81, np.float32),
        window_embeddings=np.zeros((count, 512), np.float32),
        window_columns=np.array(columns, np.float16),
        window_levels_db=levels.astype(np.float16),
        window_ranges_hz=np.full((count, 2, 2), np.nan, np.float32),
        window_starts_s=starts_s,
        shown_window=0,
    )


def test_a_score_follows_the_columns_of_a_window() -> None:
    found = scores_of(predicted([CHANGING], (0.0,)), FEATURES, 5.0)
    assert found.values.shape == (5.0 / FRAME_S, 2)
    # The geometric mean of 0.81 and 1.
    assert found.values[:8, 0] == pytest.approx(0.9, abs=0.01)
    assert found.values[-8:, 1] == pytest.approx(0.9, abs=0.01)
    assert found.values[:8, 1] == pytest.approx(0, abs=0.01)


def test_overlapping_windows_are_averaged() -> None:
    first, second = np.full((COLUMNS, 2), [20.0, 0.0]), np.full((COLUMNS, 2), [0.0, 20.0])
    found = scores_of(predicted([first, second], (0.0, 2.5)), FEATURES, 7.5)
    assert found.values[:10, 0] == pytest.approx(0.9, abs=0.01)
    assert found.values[10:20, 0] == pytest.approx(0.45, abs=0.01)
    assert found.values[20:, 0] == pytest.approx(0, abs=0.01)
    assert len(found.levels_db) * found.level_s == pytest.approx(7.5, abs=found.level_s)


def test_a_remainder_without_a_window_has_the_score_of_the_last_one() -> None:
    found = scores_of(predicted([CHANGING], (0.0,)), FEATURES, 5.01)
    assert found.values[-1, 1] == pytest.approx(0.9, abs=0.01)


SOUNDS = [(4.3, 6.1, 0), (11.9, 13.2, 1), (20.4, 24.0, 0), (27.7, 29.5, 1)]


def listened(duration_s: float) -> ClipPrediction:
    """Return what a network would: sure of windows with a sound, and vague about where in them.

    Its third class is what the network finds where there is no sound.
    """
    starts_s = np.arange(0, duration_s - 4.9, 2.5)
    columns_s = starts_s[:, None] + np.arange(COLUMNS) * 0.512
    cells_s = starts_s[:, None] + (np.arange(CELLS) + 0.5) * 0.064
    logits = np.tile([0.0, 0.0, 4.0], (len(starts_s), COLUMNS, 1))
    levels_db = np.random.default_rng(1).normal(-60, 1, (len(starts_s), CELLS))
    for start_s, end_s, number in SOUNDS:
        logits[..., number] += 8 * ((columns_s > start_s - 1) & (columns_s < end_s + 1))
        levels_db += 20 * ((cells_s > start_s) & (cells_s < end_s))
    probable = np.where(logits.max(axis=1) > 4, 0.9, 0.02)
    return dataclasses.replace(
        predicted([CHANGING] * len(starts_s), tuple(starts_s.tolist())),
        window_probabilities=probable.astype(np.float32),
        window_columns=logits.astype(np.float16),
        window_levels_db=levels_db.astype(np.float16),
    )


def test_events_lie_where_the_sounds_are_and_not_where_their_windows_are() -> None:
    found = find_events(
        scores_of(listened(35.0), FEATURES, 35.0), (*LABELS, "wind"), EventSettings()
    )
    assert [one.label for one in found] == [LABELS[number] for *_, number in SOUNDS]
    for event, (start_s, end_s, _) in zip(found, SOUNDS, strict=True):
        assert event.start_s == pytest.approx(start_s, abs=0.2)
        assert event.end_s == pytest.approx(end_s, abs=0.2)
        assert start_s <= event.peak_s <= end_s


def test_an_event_has_the_range_of_the_window_that_is_most_sure_at_its_peak() -> None:
    result = predicted([CHANGING] * 3, (0.0, 2.5, 5.0))
    result.window_probabilities[:, 1] = 0.2, 0.9, 0.3
    result.window_ranges_hz[1, 1] = 400, 800
    event = Event("rain", 3.0, 5.0, 0.9, 4.0)
    assert with_ranges(event, 1, result, FEATURES) == dataclasses.replace(
        event, low_hz=400, high_hz=800
    )
    elsewhere = dataclasses.replace(event, peak_s=8.0)
    assert with_ranges(elsewhere, 1, result, FEATURES).low_hz is None


def test_a_range_contains_the_loud_bands_in_which_the_class_is() -> None:
    logits = np.zeros((2, 4, COLUMNS), np.float32)
    logits[0, 0, 3] = 10  # the low bands
    logits[1, 3, 3] = 10  # the high ones
    bands = np.full((128, COLUMNS), -3.0, np.float32)
    bands[5:10, 3] = bands[100:110, 3] = 1.0
    edges_hz = np.arange(129, dtype=np.float32)
    places = Places(logits, bands, np.zeros(CELLS, np.float32))
    low, high = places.ranges_hz([0], 20.0, edges_hz)[0]
    assert (low, high) == pytest.approx((5, 10), abs=1)
    ranges = places.ranges_hz([1], 20.0, edges_hz)
    assert ranges[1] == pytest.approx((100, 110), abs=1)
    assert np.isnan(ranges[0]).all()


def test_bands_are_limited_half_way_between_their_centres() -> None:
    assert band_edges_hz([100, 200, 400], 20, 500).tolist() == [20, 150, 300, 500]
