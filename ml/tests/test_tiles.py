"""The tiles of a spectrogram."""

from itertools import pairwise

import pytest

from ml import tiles

FRAMES_PER_S = 62.5


def test_a_clip_whose_picture_shows_every_frame_has_no_tiles() -> None:
    assert tiles.levels(frames=313, shown_columns=313) == {}


@pytest.mark.parametrize(
    ("minutes", "levels"), [(3, ["fine"]), (9, ["fine"]), (20, ["medium", "fine"])]
)
def test_a_longer_recording_has_more_levels(minutes: int, levels: list[str]) -> None:
    assert list(tiles.levels(round(60 * minutes * FRAMES_PER_S), 2048)) == levels


@pytest.mark.parametrize("frames", [4096, 65_536, 65_537, 2_250_001])
@pytest.mark.parametrize("level", tiles.LEVELS)
def test_the_tiles_of_a_level_cover_every_frame_once(frames: int, level: str) -> None:
    count = tiles.levels(frames, 1)[level]
    found = [tiles.tile(frames, level, number) for number in range(count)]
    assert found[0].first == 0
    assert all(one.first + one.frames == other.first for one, other in pairwise(found))
    assert found[-1].first + found[-1].frames == frames
    assert all(0 < one.columns <= tiles.TILE_COLUMNS for one in found)
