import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.rendering import png


def indices(picture: png.Picture) -> NDArray[np.uint8]:
    """As stored: one palette index a pixel."""
    image = Image.open(io.BytesIO(picture.png))
    assert image.mode == "P"
    return np.asarray(image)


def ramp(height: int = 4, width: int = 64) -> NDArray[np.float32]:
    return np.linspace(-80, 0, height * width, dtype=np.float32).reshape(height, width)


def test_a_picture_is_the_array_with_low_frequencies_at_the_bottom() -> None:
    values = ramp()
    picture = png.picture(values)
    assert (picture.low, picture.high) == (-80.0, 0.0)
    expected = np.round((values + 80) / 80 * 255)
    assert np.array_equal(indices(picture), np.flipud(expected))


def test_a_reader_can_tell_the_values_from_the_picture() -> None:
    values = np.random.default_rng(1).normal(size=(20, 30))
    picture = png.picture(values)
    step = (picture.high - picture.low) / 255
    read_back = picture.low + np.flipud(indices(picture)) * step
    assert np.abs(read_back - values).max() <= step / 2 + 1e-9


def test_given_ends_hold_what_lies_beyond_them() -> None:
    picture = png.picture(np.array([[-100.0, -60.0, -40.0, -20.0, 5.0]]), -60.0, -20.0)
    assert (picture.low, picture.high) == (-60.0, -20.0)
    assert indices(picture).tolist() == [[0, 0, 128, 255, 255]]


def test_a_flat_array_is_drawn_in_the_lowest_colour() -> None:
    picture = png.picture(np.full((3, 3), 7.0))
    assert (picture.low, picture.high) == (7.0, 7.0)
    assert indices(picture).max() == 0


def test_colours_run_from_black_to_pale_yellow_getting_lighter() -> None:
    image = Image.open(io.BytesIO(png.picture(np.arange(256.0)[None]).png)).convert("RGB")
    colours = np.asarray(image, dtype=float)[0]
    assert colours[0].tolist() == [0, 0, 4]
    assert colours[255].tolist() == [252, 253, 191]
    lightness = colours @ [0.299, 0.587, 0.114]
    assert (np.diff(lightness) > -1).all()


@pytest.mark.parametrize(("height", "width"), [(32, 50), (8, 10), (128, 1), (1, 1)])
def test_shrinking_keeps_the_mean(height: int, width: int) -> None:
    values = np.random.default_rng(1).normal(size=(128, 100))
    small = png.shrink(values, height, width)
    assert small.shape == (height, width)
    assert small.mean() == pytest.approx(values.mean(), abs=1e-9)


def test_shrinking_by_an_uneven_amount_averages_only_neighbours() -> None:
    rows = np.arange(10.0)[:, None].repeat(7, axis=1)
    small = png.shrink(rows, 3, 7)
    assert small[:, 0].tolist() == [1.0, 4.0, 7.5]
    assert np.allclose(png.shrink(np.full((11, 13), 3.0), 4, 5), 3.0)


def test_what_is_small_enough_stays_as_it_is() -> None:
    values = ramp()
    assert np.array_equal(png.shrink(values, 4, 64), values)
    assert np.array_equal(png.shrink(values, 400, 640), values)


def test_peaks_hold_the_lowest_and_highest_of_each_part() -> None:
    waveform = np.array([0, 0.5, -0.25, 0.125, 0.1, 0.2, -1.0, 1.0], np.float32)
    assert png.peaks(waveform, 4) == [0, 0.5, -0.25, 0.125, 0.1, 0.2, -1.0, 1.0]
    assert png.peaks(waveform, 2) == [-0.25, 0.5, -1.0, 1.0]


def test_no_click_is_lost_in_the_peaks() -> None:
    waveform = np.zeros(160_001, np.float32)
    waveform[77_777] = 0.9
    waveform[160_000] = -0.8
    peaks = png.peaks(waveform, 1000)
    assert len(peaks) == 2000
    assert (min(peaks), max(peaks)) == (-0.8, 0.9)


def test_a_waveform_shorter_than_the_columns_gives_one_part_a_sample() -> None:
    assert png.peaks(np.array([0.5, -0.5], np.float32), 100) == [0.5, 0.5, -0.5, -0.5]
