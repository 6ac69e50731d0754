"""The layout of the result page."""

from dataclasses import replace
from typing import Any

import pytest

from classifier.views import result_layout
from ml.render_metadata import RenderMetadata, WindowPrediction
from tests.bulk_data import METADATA


def metadata(*labels: str, **more: Any) -> RenderMetadata:
    """Return the metadata of a clip whose windows were classified as `labels`."""
    windows = tuple(
        WindowPrediction(2.5 * number, label, 0.5) for number, label in enumerate(labels)
    )
    return replace(METADATA, window_predictions=windows, **more)


def test_a_clip_barely_longer_than_a_window_is_no_recording() -> None:
    assert not metadata("dog", "dog").is_long(5.02)
    assert metadata("dog", "dog").is_long(7.5)


@pytest.mark.parametrize(
    ("duration_s", "texts"),
    [
        (5.0, ["0 s", "0.5", "1"]),
        (59.0, ["0 s", "10", "20"]),
        (542.0, ["0:00", "1:00", "2:00"]),
        (36_000.0, ["0:00", "1:00:00", "2:00:00"]),
    ],
)
def test_the_time_axis_has_at_most_eleven_round_times(duration_s: float, texts: list[str]) -> None:
    ticks = result_layout.time_ticks(duration_s)
    assert [tick.text for tick in ticks][:3] == texts
    assert len(ticks) <= 11


@pytest.mark.parametrize(
    ("asked", "window"), [("2", 2), ("", 1), ("9", 1), ("-1", 1), ("x", 1), ("²", 1), ("1" * 50, 1)]
)
def test_an_unknown_window_selects_the_shown_window(asked: str, window: int) -> None:
    analysed = metadata("rain", "rain", "dog", "dog", shown_window=1)
    assert result_layout.window_of(analysed, asked) == window
