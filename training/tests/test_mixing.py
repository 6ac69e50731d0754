"""Tests of mixing: by loudness, in time, in frequency, and plain mixup."""

import math

import pytest
import torch
from torch import Tensor

from tests import fixtures
from training.config import Recipe
from training.mixing import in_frequency, in_time, mix, mixup

RATE_HZ = 32_000
ALWAYS = Recipe(mixup_share=1.0)
LOUDNESS = Recipe(mixup_share=1.0)
TIME = Recipe(mixup_share=0.0, time_mix_share=1.0)
FREQUENCY = Recipe(mixup_share=0.0, frequency_mix_share=1.0)
EACH = Recipe(mixup_share=0.3, time_mix_share=0.3, frequency_mix_share=0.2)


def one_hot(count: int) -> Tensor:
    return torch.eye(count)


def tone(hz: float, seconds: float = 1.0) -> Tensor:
    return torch.from_numpy(fixtures.tone(hz, seconds, RATE_HZ))[None].float()


# --- all ways ----------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [LOUDNESS, TIME, FREQUENCY, EACH])
def test_labels_stay_probabilities_of_at_most_two_sounds(
    recipe: Recipe, generator: torch.Generator
) -> None:
    waveform = torch.randn(64, 8_000, generator=generator)
    mixed, labels = mix(waveform, one_hot(64), recipe, RATE_HZ, generator)
    assert mixed.shape == waveform.shape
    assert torch.isfinite(mixed).all()
    assert torch.allclose(labels.sum(dim=1), torch.ones(64), atol=1e-6)
    assert float(labels.min()) >= 0
    assert int((labels > 0).sum(dim=1).max()) == 2


def test_each_sound_is_mixed_in_one_way_and_the_rest_stays(generator: torch.Generator) -> None:
    waveform = torch.randn(1000, 3_200, generator=generator)
    mixed, labels = mix(waveform, one_hot(1000), EACH, RATE_HZ, generator)
    unchanged = (mixed == waveform).all(dim=1)
    assert float(unchanged.float().mean()) == pytest.approx(0.2, abs=0.04)
    assert torch.equal(labels[unchanged], one_hot(1000)[unchanged])


@pytest.mark.parametrize("recipe", [LOUDNESS, TIME, FREQUENCY])
def test_silence_is_mixed_without_nan(recipe: Recipe, generator: torch.Generator) -> None:
    mixed, labels = mix(torch.zeros(8, 8_000), one_hot(8), recipe, RATE_HZ, generator)
    assert torch.equal(mixed, torch.zeros(8, 8_000))
    assert torch.allclose(labels.sum(dim=1), torch.ones(8))


# --- by loudness --------------------------------------------------------------------------


def test_between_class_mixing_compensates_different_levels(
    generator: torch.Generator,
) -> None:
    loud, quiet = torch.randn(1, 32_000), 0.05 * torch.randn(1, 32_000)
    waveform = torch.cat([loud, quiet] * 8)
    targets = torch.eye(2).repeat(8, 1)
    mixed, labels = mix(waveform, targets, LOUDNESS, 32_000, generator)
    assert torch.allclose(labels.sum(dim=1), torch.ones(16))
    for sound, label in zip(mixed, labels, strict=True):
        if 0.05 < float(label[0]) < 0.95:
            parts = torch.linalg.lstsq(torch.cat([loud, quiet]).T, sound[:, None]).solution[:, 0]
            evaluated = parts * torch.tensor([float(loud.std()), float(quiet.std())])
            assert float(evaluated[0] / evaluated.sum()) == pytest.approx(float(label[0]), abs=0.05)


def test_sounds_shorter_than_the_piece_of_a_level_are_mixed(generator: torch.Generator) -> None:
    quiet, loud = 0.01 * tone(440, 0.05), tone(880, 0.05)
    recipe = Recipe(mixup_share=1.0)
    mixed, labels = mix(torch.cat([quiet, loud]), one_hot(2), recipe, RATE_HZ, generator)
    assert mixed.shape == (2, quiet.shape[1])
    assert torch.allclose(labels.sum(1), torch.ones(2))


def test_a_share_of_zero_mixes_no_sound(generator: torch.Generator) -> None:
    waveform, targets = torch.randn(6, 8_000), one_hot(6)
    mixed, labels = mix(waveform, targets, Recipe(mixup_share=0.0), 32_000, generator)
    assert torch.equal(mixed, waveform)
    assert torch.equal(labels, targets)


# --- in time ------------------------------------------------------------------------------


def test_the_second_sound_follows_the_first() -> None:
    low, high = tone(500), tone(4000)
    mixed, share = in_time(low, high, torch.tensor([0.3]), torch.tensor([0.01]))
    cut = int(0.3 * RATE_HZ)
    away = RATE_HZ // 100
    assert torch.equal(mixed[:, : cut - away], low[:, : cut - away])
    assert torch.equal(mixed[:, cut + away :], high[:, cut + away :])
    assert float(share) == pytest.approx(0.3, abs=0.01), "two even sounds share by their duration"


def test_both_sounds_are_heard_in_the_overlap() -> None:
    first, second = torch.full((1, 1000), 1.0), torch.full((1, 1000), 3.0)
    mixed, _ = in_time(first, second, torch.tensor([0.5]), torch.tensor([0.4]))
    assert torch.equal(mixed[0, :300], torch.full((300,), 1.0))
    assert torch.equal(mixed[0, 700:], torch.full((300,), 3.0))
    assert (mixed[0, 300:700].diff() > 0).all()
    assert float(mixed[0, 500]) == pytest.approx(2.0, abs=0.01)


def test_a_sound_counts_by_the_energy_that_is_left_of_it() -> None:
    early = torch.zeros(1, 1000)
    early[:, :100] = 1.0
    late = early.flip(1)
    steady = torch.ones(1, 1000)
    ratio, overlap = torch.tensor([0.5]), torch.tensor([0.01])
    assert float(in_time(early, steady, ratio, overlap)[1]) == pytest.approx(2 / 3, abs=0.01)
    assert float(in_time(late, steady, ratio, overlap)[1]) == 0.0, "the late bark is cut off"
    assert float(in_time(late, early, ratio, overlap)[1]) == 0.5, "nothing is left: by duration"


# --- in frequency -------------------------------------------------------------------------


def test_low_frequencies_come_from_the_first_sound_and_high_ones_from_the_second() -> None:
    first, second = tone(500) + tone(8000), 0.5 * tone(700) + 0.5 * tone(9000)
    middle = torch.tensor([math.log1p(2000 / 700) / math.log1p(RATE_HZ / 2 / 700)])  # 2 kHz
    mixed, _ = in_frequency(first, second, middle, RATE_HZ)
    expected = tone(500) + 0.5 * tone(9000)
    assert torch.allclose(mixed, expected, atol=1e-3)


def test_two_equal_sounds_are_joined_without_a_change() -> None:
    sound = torch.randn(4, RATE_HZ)
    mixed, share = in_frequency(sound, sound, torch.tensor([0.1, 0.4, 0.6, 0.9]), RATE_HZ)
    assert torch.allclose(mixed, sound, atol=1e-4)
    assert (share.diff() > 0).all(), "the first counts more the more of it is left"


def test_a_sound_whose_frequencies_were_removed_does_not_count() -> None:
    rumble, whistle = tone(100), tone(8000)
    ratio = torch.tensor([0.5])  # about 2.7 kHz
    assert float(in_frequency(rumble, whistle, ratio, RATE_HZ)[1]) == pytest.approx(0.5, abs=1e-3)
    noise = torch.randn(1, RATE_HZ)
    assert float(in_frequency(whistle, noise, ratio, RATE_HZ)[1]) < 1e-3
    assert float(in_frequency(noise, rumble, ratio, RATE_HZ)[1]) > 0.999


# --- mixup --------------------------------------------------------------------------------


def test_mixed_labels_still_add_up_to_one(generator: torch.Generator) -> None:
    waveform, targets = mixup(torch.randn(64, 50), one_hot(64), ALWAYS, generator)
    assert waveform.shape == (64, 50)
    assert targets.shape == (64, 64)
    assert torch.allclose(targets.sum(dim=1), torch.ones(64))
    assert float(targets.min()) >= 0


def test_a_sound_is_mixed_by_the_shares_of_its_label(generator: torch.Generator) -> None:
    originals = torch.randn(32, 200, generator=torch.Generator().manual_seed(9))
    waveform, targets = mixup(originals, one_hot(32), ALWAYS, generator)
    # Row k of one_hot is sound k, so the labels are the shares of the mixture.
    assert torch.allclose(waveform, targets @ originals, atol=1e-5)
    assert ((targets > 0.01).sum(dim=1) == 2).any()


def test_shares_are_symmetric_and_mostly_near_the_ends(generator: torch.Generator) -> None:
    recipe = Recipe(mixup_share=1.0, mixup_beta=0.3)
    count = 4000
    _, targets = mixup(torch.zeros(count, 1), one_hot(count), recipe, generator)
    shares = targets.diagonal()
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.03)
    # Beta(b, b) has the variance 1 / (4 (2 b + 1)).
    assert float(shares.var()) == pytest.approx(1 / (4 * 1.6), abs=0.01)


def test_mixup_is_applied_to_its_share_of_the_batches(generator: torch.Generator) -> None:
    waveform, targets = torch.randn(4, 3), one_hot(4)

    def mixed(share: float) -> int:
        recipe = Recipe(mixup_share=share)
        batches = [mixup(waveform, targets, recipe, generator) for _ in range(200)]
        return sum(not torch.equal(after, targets) for _, after in batches)

    assert mixed(0.0) == 0
    assert 60 < mixed(0.5) < 140
    assert mixed(1.0) > 180  # a permutation may change nothing
