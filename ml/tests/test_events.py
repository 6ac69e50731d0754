"""Scores become events, and settings are read from the file beside a checkpoint."""

import json
from pathlib import Path

import numpy as np
import pytest

from ml import checkpoint
from ml.checkpoint_info import CheckpointError, CheckpointInfo, digest
from ml.events import (
    FRAME_S,
    Event,
    EventSettings,
    Scores,
    find_events,
    read_settings,
    settings_path,
    write_settings,
)
from ml.model import AudioCNN

LABELS = ("dog", "rain")
LEVEL_S = 0.05
PLAIN = EventSettings(threshold=0.5, median_s=0, min_s=0.25, merge_gap_s=0.5, edge_s=0)


def scores(dog: list[float], rain: list[float] | None = None, levels: object = ()) -> Scores:
    values = np.array([dog, rain or [0.0] * len(dog)], np.float32).T
    return Scores(values, len(dog) * FRAME_S, np.array(levels, np.float32), LEVEL_S)


def spans(found: tuple[Event, ...]) -> list[tuple[str, float, float]]:
    return [(one.label, one.start_s, one.end_s) for one in found]


def test_a_span_above_the_threshold_is_an_event() -> None:
    (event,) = find_events(scores([0.1, 0.6, 0.8, 0.7, 0.2]), LABELS, PLAIN)
    assert event == Event("dog", 0.25, 1.0, 0.8, 0.625)


def test_labels_may_overlap_and_are_sorted_by_start() -> None:
    found = find_events(scores([0, 0, 0.9, 0.9], [0.8, 0.8, 0.8, 0]), LABELS, PLAIN)
    assert spans(found) == [("rain", 0, 0.75), ("dog", 0.5, 1)]


def test_nothing_above_the_threshold_is_no_event() -> None:
    assert find_events(scores([0.1, 0.2]), LABELS, PLAIN) == ()


def test_a_short_gap_is_bridged_and_a_long_one_is_not() -> None:
    found = find_events(scores([0.9, 0, 0.9, 0, 0, 0.9]), LABELS, PLAIN)
    assert spans(found) == [("dog", 0, 0.75), ("dog", 1.25, 1.5)]


def test_a_single_high_frame_is_smoothed_away() -> None:
    settings = EventSettings(threshold=0.5, median_s=0.75, min_s=0.25, merge_gap_s=0, edge_s=0)
    found = find_events(scores([0, 0.75, 0, 0, 0.75, 0.75, 0.75]), LABELS, settings)
    assert spans(found) == [("dog", 1.0, 1.75)]


def test_a_class_can_have_its_own_threshold() -> None:
    settings = EventSettings(threshold=0.5, thresholds={"rain": 0.2}, median_s=0)
    found = find_events(scores([0.3, 0.3], [0.3, 0.3]), LABELS, settings)
    assert [one.label for one in found] == ["rain"]


def test_an_event_ends_with_a_recording_that_is_shorter_than_a_frame() -> None:
    brief = Scores(np.array([[0.9, 0]], np.float32), 0.2, np.zeros(4, np.float32), LEVEL_S)
    (event,) = find_events(brief, LABELS, EventSettings())
    assert (event.start_s, event.end_s) == (0, 0.2)
    assert 0 <= event.peak_s <= 0.2


# A sound from 4.1 s to 6.3 s, which the scores show from 3.5 to 7 s only.
COARSE = [0.0] * 14 + [0.9] * 14 + [0.0] * 12
LEVELS = [-60.0] * 82 + [-30.0] * 44 + [-60.0] * 74


def test_edges_move_to_the_changes_of_the_level() -> None:
    settings = EventSettings(threshold=0.5, median_s=0, edge_s=1.5)
    (event,) = find_events(scores(COARSE, levels=LEVELS), LABELS, settings)
    assert (event.start_s, event.end_s) == pytest.approx((4.1, 6.3), abs=LEVEL_S)


@pytest.mark.parametrize(
    ("settings", "levels"),
    [
        (EventSettings(threshold=0.5, median_s=0, edge_s=0.3), LEVELS),  # the changes are too far
        (EventSettings(threshold=0.5, median_s=0, edge_s=1.5), [-40.0] * 200),  # there are none
    ],
)
def test_edges_stay_where_no_change_is_near(settings: EventSettings, levels: list[float]) -> None:
    found = find_events(scores(COARSE, levels=levels), LABELS, settings)
    assert spans(found) == [("dog", 3.5, 7.0)]


def test_two_events_whose_edges_move_into_each_other_become_one() -> None:
    values = [0.0] * 14 + [0.9] * 5 + [0.0] * 6 + [0.9] * 3 + [0.0] * 12
    settings = EventSettings(threshold=0.5, median_s=0, merge_gap_s=0.5, edge_s=2)
    found = find_events(scores(values, levels=LEVELS), LABELS, settings)
    assert len(found) == 1


@pytest.fixture
def weights(tmp_path: Path, network: AudioCNN, info: CheckpointInfo) -> Path:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, network.state_dict(), info)
    return path


def test_settings_are_read_as_they_were_written(weights: Path, info: CheckpointInfo) -> None:
    assert read_settings(weights, info.classes, digest(weights).weights) == EventSettings()
    settings = EventSettings(threshold=0.6, thresholds={"rain": 0.3}, min_s=1.0)
    write_settings(weights, settings)
    assert read_settings(weights, info.classes, digest(weights).weights) == settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": "0123456789ab"}, "belongs to other weights"),
        ({"threshold": 2}, "the threshold 2 is not between 0 and 1"),
        ({"threshold": "high"}, "no usable settings"),
        ({"thresholds": {"unicorn": 0.5}}, "no class unicorn"),
        ({"median_s": -1}, "median_s is -1"),
        ({"medain_s": 1}, "medain_s"),
    ],
)
def test_damaged_settings_are_an_error(
    weights: Path, info: CheckpointInfo, change: dict[str, object], message: str
) -> None:
    content = {"weights": digest(weights).weights} | change
    settings_path(weights).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        read_settings(weights, info.classes, digest(weights).weights)
