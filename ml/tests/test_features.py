from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from ml.checkpoint_info import FeatureConfig
from ml.features import LogMel
from tests import fixtures

RATE_HZ = FeatureConfig().sample_rate


@pytest.fixture(scope="module")
def log_mel() -> LogMel:
    return LogMel(FeatureConfig())


def batch(*sounds: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(sounds))


@pytest.mark.parametrize("hz", [60, 110, 220, 440, 1000, 2345, 4000, 8000, 12_000, 15_500])
def test_a_tone_is_loudest_in_the_band_nearest_to_its_frequency(log_mel: LogMel, hz: float) -> None:
    picture = log_mel.decibels(batch(fixtures.tone(hz)))[0, 0]
    brightest = int(picture[:, 5:-5].mean(dim=1).argmax())
    nearest = int(np.abs(np.array(log_mel.band_centres_hz()) - hz).argmin())
    assert abs(brightest - nearest) <= 1


def test_the_bands_rise_from_low_to_high_over_the_whole_range(log_mel: LogMel) -> None:
    centres = log_mel.band_centres_hz()
    assert len(centres) == 128
    assert all(low < high for low, high in pairwise(centres))
    assert 20 <= centres[0] < 60
    assert 15_000 < centres[-1] <= 16_000


def test_every_band_covers_an_fft_bin(log_mel: LogMel) -> None:
    # Each covers about one FFT bin or more, and none only a part between two.
    assert float(log_mel.bank.sum(dim=0).min()) > 0.8
    picture = log_mel.decibels(batch(fixtures.noise(level=0.1)))
    assert float(picture.mean(dim=-1).min()) > -60


def test_silence_is_the_floor_everywhere(log_mel: LogMel) -> None:
    picture = log_mel.decibels(batch(fixtures.silence()))
    assert torch.allclose(picture, torch.full_like(picture, -100.0))


def test_ten_times_the_amplitude_is_twenty_decibels_more(log_mel: LogMel) -> None:
    loud, quiet = log_mel.decibels(batch(fixtures.noise(level=0.1), fixtures.noise(level=0.01)))
    assert torch.allclose(loud - quiet, torch.full_like(loud, 20.0), atol=0.01)


def test_a_quiet_clip_is_the_same_beside_a_loud_one(log_mel: LogMel) -> None:
    quiet, loud = fixtures.tone(level=1e-4), fixtures.noise(level=0.9)
    alone = log_mel(batch(quiet))
    beside = log_mel(batch(loud, quiet, loud))[1:2]
    assert torch.allclose(alone, beside, atol=1e-4)


def test_a_window_becomes_one_picture_of_the_expected_size(log_mel: LogMel) -> None:
    window = FeatureConfig().window_samples
    assert window == 5 * RATE_HZ
    assert log_mel(torch.zeros(2, window)).shape == (2, 1, 128, 313)


def test_normalising_uses_the_numbers_of_the_checkpoint() -> None:
    noise = batch(fixtures.noise())
    plain = LogMel(FeatureConfig())(noise)
    normalised = LogMel(FeatureConfig(mean_db=-30.0, deviation_db=12.0))(noise)
    assert torch.allclose(normalised, (plain + 30.0) / 12.0, atol=1e-5)
