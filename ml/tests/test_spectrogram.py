import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.audio import waveform as waveforms
from ml.checkpoint_info import SILENCE_DB, FeatureConfig
from ml.features import LogMel
from ml.rendering import spectrogram


def mean_columns(values: NDArray[np.floating], most: int, *cuts: int) -> NDArray[np.floating]:
    """Return the means of neighbouring columns of `values`, added in parts that begin at `cuts`."""
    columns = spectrogram.Columns(np.add, 0.0, values.shape[-1], most)
    for part in np.split(values, cuts, axis=-1):
        columns.add(part)
    return columns.values / columns.counts


@pytest.mark.parametrize("most", [1, 10, 50, 100, 200])
def test_averaging_columns_keeps_the_mean(most: int) -> None:
    values = np.random.default_rng(1).normal(size=(128, 100))
    small = mean_columns(values, most)
    assert small.shape == (128, min(most, 100))
    assert small.mean() == pytest.approx(values.mean(), abs=1e-9)


def test_averaging_an_uneven_number_of_columns_combines_only_neighbours() -> None:
    assert mean_columns(np.arange(10.0), 3).tolist() == [1.0, 4.0, 7.5]
    assert np.allclose(mean_columns(np.full((11, 13), 3.0), 5), 3.0)


def test_few_columns_are_unchanged() -> None:
    values = np.linspace(-80, 0, 256).reshape(4, 64)
    assert np.array_equal(mean_columns(values, 64), values)
    assert np.array_equal(mean_columns(values, 640, 7, 8), values)


@pytest.mark.parametrize("cuts", [(50,), (1, 2, 3, 99), (33, 34, 66), tuple(range(1, 100))])
def test_the_columns_do_not_depend_on_the_parts(cuts: tuple[int, ...]) -> None:
    values = np.random.default_rng(1).normal(size=(3, 100))
    assert np.allclose(mean_columns(values, 7, *cuts), mean_columns(values, 7))


def test_peaks_hold_the_lowest_and_highest_of_each_part() -> None:
    waveform = np.array([0, 0.5, -0.25, 0.125, 0.1, 0.2, -1.0, 1.0], np.float32)
    assert spectrogram.peaks(waveform, 4) == [0, 0.5, -0.25, 0.125, 0.1, 0.2, -1.0, 1.0]
    assert spectrogram.peaks(waveform, 2) == [-0.25, 0.5, -1.0, 1.0]


def test_the_peaks_keep_single_clicks() -> None:
    waveform = np.zeros(160_001, np.float32)
    waveform[77_777] = 0.9
    waveform[160_000] = -0.8
    peaks = spectrogram.peaks(waveform, 1000)
    assert len(peaks) == 2000
    assert (min(peaks), max(peaks)) == (-0.8, 0.9)


def test_the_peaks_of_a_long_waveform_do_not_depend_on_the_parts_it_is_read_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = np.random.default_rng(2).uniform(-1, 1, 160_001).astype(np.float32)
    at_once = spectrogram.peaks(samples)
    monkeypatch.setattr(waveforms, "PART_SAMPLES", 12_345)
    assert spectrogram.peaks(samples) == at_once


def test_a_waveform_shorter_than_the_columns_gives_one_part_per_sample() -> None:
    assert spectrogram.peaks(np.array([0.5, -0.5], np.float32), 100) == [0.5, 0.5, -0.5, -0.5]


def test_ticks_lie_at_the_bands_of_their_frequencies() -> None:
    centres_hz = LogMel(FeatureConfig()).band_centres_hz()
    ticks = spectrogram.frequency_ticks(centres_hz, 16_000.0)
    assert [tick.hz for tick in ticks] == [100, 250, 500, 1000, 2000, 4000, 8000, 16000]
    for tick in ticks:
        nearest = int(np.abs(np.array(centres_hz) - tick.hz).argmin())
        assert tick.place * 128 == pytest.approx(nearest + 0.5, abs=1)


def test_the_pictures_of_a_long_clip_stay_small() -> None:
    decibels = np.random.default_rng(1).uniform(-100, 10, (128, 5000)).astype(np.float32)
    drawn = spectrogram.draw([decibels[:, :1234], decibels[:, 1234:]], 5000)
    assert drawn.columns == 2048
    assert drawn.high_db - drawn.low_db == pytest.approx(80, abs=0.01)


def test_the_pictures_of_silence_are_black() -> None:
    drawn = spectrogram.draw([np.full((128, 400), SILENCE_DB, np.float32)], 400)
    for data in (drawn.picture, drawn.strip):
        assert np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).max() < 10
    assert (drawn.low_db, drawn.high_db) == (-100, -20)
