"""Where things lie on the result page."""

import pytest

from classifier.views import result_layout


def payload(**more: object) -> dict:
    return {"window_s": 5.0, "window_count": 1, "shown_window": 0, "shown_from_s": 0.0, **more}


def windows(*labels: str) -> list[dict]:
    return [
        {"start_s": 2.5 * number, "label": label, "confidence": 0.5}
        for number, label in enumerate(labels)
    ]


def test_mel_bands_run_from_low_to_high_within_their_ends() -> None:
    bands = result_layout.band_centres_hz(20, 16_000, 128, "slaney")
    assert bands == sorted(bands)
    assert len(bands) == 128
    assert 20 < bands[0] < 60
    assert 15_000 < bands[-1] < 16_000
    assert result_layout.band_centres_hz(0, 8_000, 64, "htk")[32] == pytest.approx(1816, abs=1)


def test_windows_stand_side_by_side_and_name_themselves_once_a_run() -> None:
    heard = windows("rain", "rain", "dog", "dog", "dog")
    slots = result_layout.slots(payload(window_predictions=heard), 15.0)
    assert [slot.name for slot in slots] == ["rain", "", "dog", "", ""]
    assert slots[0].place == 0
    assert sum(slot.width for slot in slots) == pytest.approx(100, abs=0.01)
    assert slots[-1].width == pytest.approx(100 / 3, abs=0.01), "to the end of the clip"


def test_a_label_is_left_out_where_there_is_no_room_for_it() -> None:
    heard = windows(*["rain"] * 20, "dog", *["rain"] * 20)
    names = [slot.name for slot in result_layout.slots(payload(window_predictions=heard), 105.0)]
    assert names[0] == names[21] == "rain"
    assert "dog" not in names


def test_a_clip_hardly_longer_than_a_window_shows_no_windows() -> None:
    heard = [{"start_s": 0.0, "label": "dog", "confidence": 0.9}] * 2
    assert result_layout.slots(payload(window_predictions=heard), 5.02) == []


@pytest.mark.parametrize(
    ("asked", "window"), [("2", 2), ("", 1), ("9", 1), ("-1", 1), ("x", 1), ("²", 1), ("1" * 50, 1)]
)
def test_a_window_that_is_not_there_is_the_one_that_speaks_most(asked: str, window: int) -> None:
    heard = windows("rain", "rain", "dog", "dog")
    assert (
        result_layout.window_of(payload(window_predictions=heard, shown_window=1), asked) == window
    )


def test_an_analysis_from_before_there_was_attribution_still_has_a_page() -> None:
    assert result_layout.attribution({}, str, {}) == []
    assert result_layout.pooled({}, str) is None
    assert result_layout.bands(payload()) == []
    assert result_layout.slots(payload(windows=4), 12.5) == []
    assert result_layout.window_of(payload(windows=4), "2") == 0
