import numpy as np
import pytest
import torch
from torch import Tensor

from ml.checkpoint_info import FeatureConfig
from ml.explain.masking import MAX_GAIN_DB, Masking, audible, equal_gains
from ml.features import LogMel
from tests import fixtures

FEATURES = FeatureConfig(window_s=1.0)
RATE_HZ = FEATURES.sample_rate


@pytest.fixture(scope="module")
def masking() -> Masking:
    return Masking(LogMel(FEATURES))


def batch(*sounds: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(sounds))


def rms(sound: Tensor) -> float:
    return float(sound.square().mean().sqrt())


@pytest.mark.parametrize("duration_s", [1.0, 0.999, 0.3, 0.01])
def test_the_parts_add_up_to_the_original(masking: Masking, duration_s: float) -> None:
    sounds = batch(fixtures.noise(duration_s), fixtures.chirp(300, 9000, duration_s))
    masks = torch.rand(2, 64, 21, generator=torch.Generator().manual_seed(2))
    split = masking.split(sounds, masks)
    other = masking.split(sounds, 1 - masks)
    assert split.kept.shape == split.rest.shape == sounds.shape
    assert torch.allclose(split.kept + split.rest, sounds, atol=1e-6)
    assert torch.allclose(split.rest, other.kept, atol=1e-5), "the rest is under 1 - mask"


def test_a_full_mask_keeps_all_and_an_empty_one_nothing(masking: Masking) -> None:
    sounds = batch(fixtures.noise(1.0))
    assert torch.allclose(masking.split(sounds, torch.ones(1, 8, 8)).kept, sounds, atol=1e-5)
    assert masking.split(sounds, torch.zeros(1, 8, 8)).kept.abs().max() == 0


def test_low_rows_of_the_mask_are_low_frequencies(masking: Masking) -> None:
    low, high = fixtures.tone(300, 1.0), fixtures.tone(6000, 1.0)
    mask = torch.zeros(1, 64, 16)
    mask[:, :32] = 1  # below about 2 kHz
    split = masking.split(batch(low + high), mask)
    assert rms(split.kept - torch.from_numpy(low)) < 0.1 * rms(torch.from_numpy(low))
    assert rms(split.rest - torch.from_numpy(high)) < 0.1 * rms(torch.from_numpy(high))


def test_columns_of_the_mask_are_time(masking: Masking) -> None:
    mask = torch.zeros(1, 4, 10)
    mask[:, :, :5] = 1
    split = masking.split(batch(fixtures.noise(1.0)), mask)
    early, late = slice(0, RATE_HZ * 2 // 5), slice(RATE_HZ * 3 // 5, RATE_HZ)
    assert rms(split.kept[:, early]) > 100 * rms(split.kept[:, late])
    assert rms(split.rest[:, late]) > 100 * rms(split.rest[:, early])


def test_the_mask_keeps_the_cells_with_the_highest_attribution() -> None:
    attribution = torch.rand(2, 40, 50, generator=torch.Generator().manual_seed(3)) ** 3
    mask = audible(attribution)
    order = attribution.flatten(1).argsort(1, descending=True)
    ranked = mask.flatten(1).gather(1, order)
    assert mask.shape == attribution.shape
    assert (ranked.diff(dim=1) <= 0).all()
    assert (ranked[:, :199] == 1).all(), "the first tenth is whole"
    assert (ranked[:, 801:] == 0).all(), "six tenths are silent"
    assert (audible(torch.zeros(1, 4, 4)) == 0).all()
    few = torch.zeros(1, 40, 50)
    few[0, 3, 4] = 1
    assert audible(few).sum() == 1, "no more than the attribution"


def test_loudness_is_matched_by_the_loudest_part() -> None:
    original = fixtures.noise(2.0, RATE_HZ, level=0.2, seed=1)
    burst = np.zeros_like(original)
    burst[: RATE_HZ // 2] = original[: RATE_HZ // 2] / 4
    (gain,) = equal_gains(batch(burst), batch(original), RATE_HZ).tolist()
    assert gain == pytest.approx(4, rel=0.1)


def test_the_gain_is_limited_and_never_clips() -> None:
    original = batch(fixtures.noise(1.0, RATE_HZ, level=0.5))
    click = torch.zeros_like(original)
    click[0, 100] = 0.5
    assert float(equal_gains(click, original, RATE_HZ)[0] * click.max()) <= 1 + 1e-6
    most = 10 ** (MAX_GAIN_DB / 20)
    assert float(equal_gains(original / 1e4, original, RATE_HZ)[0]) == pytest.approx(most)
    assert float(equal_gains(0 * original, original, RATE_HZ)[0]) == 1
