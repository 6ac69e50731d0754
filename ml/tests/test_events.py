"""Windows become events."""

import numpy as np
import pytest

from ml.events import Event, EventSettings, Scores, find_events, scores_of

CLASSES = ("dog", "rain")
PLAIN = EventSettings(threshold=0.5, median_s=0, min_s=0.5, merge_gap_s=1.0)


def scores(dog: list[float], rain: list[float] | None = None) -> Scores:
    values = np.array([dog, rain or [0.0] * len(dog)], np.float32).T
    return Scores(values, duration_s=len(dog) / 2)


def test_a_span_above_the_threshold_is_an_event() -> None:
    (event,) = find_events(scores([0.1, 0.6, 0.75, 0.7, 0.2]), CLASSES, PLAIN)
    assert event == Event("dog", 0.5, 2.0, 0.75, 1.25)


def test_labels_may_overlap_and_are_sorted_by_start() -> None:
    found = find_events(scores([0, 0, 0.9, 0.9], [0.8, 0.8, 0.8, 0]), CLASSES, PLAIN)
    assert [(one.label, one.start_s, one.end_s) for one in found] == [
        ("rain", 0, 1.5),
        ("dog", 1, 2),
    ]


def test_nothing_above_the_threshold_is_no_event() -> None:
    assert find_events(scores([0.1, 0.2]), CLASSES, PLAIN) == ()


def test_a_short_gap_is_bridged_and_a_long_one_is_not() -> None:
    found = find_events(scores([0.9, 0, 0.9, 0, 0, 0.9]), CLASSES, PLAIN)
    assert [(one.start_s, one.end_s) for one in found] == [(0, 1.5), (2.5, 3)]


def test_a_single_high_frame_is_smoothed_away() -> None:
    settings = EventSettings(threshold=0.5, median_s=1.5, min_s=0.5, merge_gap_s=0)
    assert find_events(scores([0, 0.75, 0, 0, 0.75, 0.75, 0.75]), CLASSES, settings) == (
        Event("dog", 2.0, 3.5, 0.75, 2.25),
    )


def test_a_class_can_have_its_own_threshold() -> None:
    settings = EventSettings(threshold=0.5, thresholds={"rain": 0.2}, median_s=0)
    found = find_events(scores([0.3, 0.3], [0.3, 0.3]), CLASSES, settings)
    assert [one.label for one in found] == ["rain"]


def test_an_event_ends_with_a_recording_that_is_shorter_than_a_frame() -> None:
    (event,) = find_events(Scores(np.array([[0.9, 0]], np.float32), 0.2), CLASSES, PLAIN)
    assert (event.start_s, event.end_s, event.peak_s) == (0, 0.2, 0.2)


def test_a_frame_has_the_mean_of_the_windows_around_it() -> None:
    rows = np.array([[0.2, 0], [0.8, 0]], np.float32)
    found = scores_of(rows, (0.0, 2.5), 5.0, 7.5)
    assert found.values[:, 0] == pytest.approx([0.2] * 5 + [0.5] * 5 + [0.8] * 5)
