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


def test_adjacent_windows_with_one_label_show_it_once() -> None:
    slots = result_layout.slots(metadata("rain", "rain", "dog", "dog", "dog"), 15.0)
    assert [slot.name for slot in slots] == ["rain", "", "dog", "", ""]
    assert slots[0].place == 0
    assert sum(slot.width for slot in slots) == pytest.approx(100, abs=0.01)
    assert slots[-1].width == pytest.approx(100 / 3, abs=0.01), "to the end of the clip"


def test_a_label_without_room_is_omitted() -> None:
    analysed = metadata(*["rain"] * 20, "dog", *["rain"] * 20)
    names = [slot.name for slot in result_layout.slots(analysed, 105.0)]
    assert names[0] == names[21] == "rain"
    assert "dog" not in names


def test_a_clip_barely_longer_than_a_window_has_no_strip() -> None:
    assert result_layout.slots(metadata("dog", "dog"), 5.02) == []


@pytest.mark.parametrize(
    ("asked", "window"), [("2", 2), ("", 1), ("9", 1), ("-1", 1), ("x", 1), ("²", 1), ("1" * 50, 1)]
)
def test_an_unknown_window_selects_the_shown_window(asked: str, window: int) -> None:
    analysed = metadata("rain", "rain", "dog", "dog", shown_window=1)
    assert result_layout.window_of(analysed, asked) == window
