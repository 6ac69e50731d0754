from itertools import pairwise

import pytest

from ml.predictions import window_starts

WINDOW, HOP = 160_000, 512
SECOND = 32_000


@pytest.mark.parametrize(
    ("samples", "starts"),
    [
        (3200, [0]),
        (WINDOW - 1, [0]),
        (WINDOW, [0]),
        (WINDOW + HOP - 1, [0]),
        (WINDOW + HOP, [0, HOP]),
        (int(7.5 * SECOND), [0, int(2.5 * SECOND)]),
        (8 * SECOND, [0, int(2.5 * SECOND), 3 * SECOND]),
        (10 * SECOND, [0, int(2.5 * SECOND), 5 * SECOND]),
        (12 * SECOND, [0, int(2.5 * SECOND), 5 * SECOND, 7 * SECOND]),
    ],
)
def test_windows_overlap_by_half_and_the_last_ends_with_the_clip(
    samples: int, starts: list[int]
) -> None:
    assert window_starts(samples, WINDOW, HOP) == starts


@pytest.mark.parametrize("samples", range(1, 40 * SECOND, 40_009))
def test_every_sample_is_in_a_window(samples: int) -> None:
    starts = window_starts(samples, WINDOW, HOP)
    assert starts[0] == 0
    assert len(set(starts)) == len(starts)
    for before, after in pairwise(starts):
        assert 0 < after - before <= WINDOW // 2
    # All but a remainder too short for one more frame.
    assert samples - (starts[-1] + WINDOW) < HOP
    if len(starts) > 1:
        assert starts[-1] + WINDOW <= samples
