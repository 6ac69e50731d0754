import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.rendering import png


def indices(picture: png.Picture) -> NDArray[np.uint8]:
    """Return the stored palette indices, one per pixel."""
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


def test_values_can_be_read_back_from_the_picture() -> None:
    values = np.random.default_rng(1).normal(size=(20, 30))
    picture = png.picture(values)
    step = (picture.high - picture.low) / 255
    read_back = picture.low + np.flipud(indices(picture)) * step
    assert np.abs(read_back - values).max() <= step / 2 + 1e-9


def test_values_outside_the_given_range_are_clipped() -> None:
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
