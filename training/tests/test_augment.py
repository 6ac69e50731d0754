import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ml.checkpoint_info import FeatureConfig
from ml.features import LogMel
from training.augment import (
    augmented,
    change_speed,
    colour,
    crop,
    crop_samples,
    gain,
    mask,
    shift,
)
from training.config import Recipe, SettingError


def one_hot(count: int) -> Tensor:
    return torch.eye(count)


# --- shift and gain -----------------------------------------------------------------------


def test_a_shift_is_circular_and_loses_nothing(generator: torch.Generator) -> None:
    waveform = torch.arange(1.0, 101.0).repeat(16, 1)
    shifted = shift(waveform, generator)
    assert shifted.shape == waveform.shape
    shifts = []
    for row in shifted:
        places = int(row.argmin())
        assert torch.equal(row.roll(-places), waveform[0])
        shifts.append(places)
    assert len(set(shifts)) > 8, "each sound is shifted by its own amount"


def test_the_gain_stays_within_its_range_and_covers_it(generator: torch.Generator) -> None:
    gains_db = 20 * gain(torch.ones(500, 4), 6.0, generator)[:, 0].log10()
    assert float(gains_db.abs().max()) <= 6.0 + 1e-4
    assert float(gains_db.max()) > 5.5
    assert float(gains_db.min()) < -5.5


# --- crop, speed, colour -----------------------------------------------------------------


def test_a_crop_is_a_piece_of_the_sound_and_prefers_the_loud_one(
    generator: torch.Generator,
) -> None:
    waveform = torch.arange(1000.0).repeat(200, 1)
    cropped = crop(waveform, 100, generator)
    assert cropped.shape == (200, 100)
    assert torch.equal(cropped, (cropped[:, :1] + torch.arange(100)) % 1000)
    # Of two even draws the larger start is at two thirds, on average.
    assert float(cropped[:, 0].mean()) > 580


def test_a_crop_equals_the_louder_of_two_rolled_pieces() -> None:
    waveform = torch.randn(20, 1000) * torch.linspace(0.1, 1, 1000)
    starts = torch.randint(1000, (2, 20), generator=torch.Generator().manual_seed(3)).tolist()
    pieces = [
        [row.roll(-start)[:300] for row, start in zip(waveform, at, strict=True)] for at in starts
    ]
    expected = [
        max(two, key=lambda piece: float(piece.square().sum())) for two in zip(*pieces, strict=True)
    ]
    cropped = crop(waveform, 300, torch.Generator().manual_seed(3))
    assert torch.equal(cropped, torch.stack(expected))


def test_a_crop_longer_than_the_sound_is_the_whole_sound(generator: torch.Generator) -> None:
    cropped = crop(torch.arange(100.0).repeat(8, 1), 300, generator)
    assert torch.equal(cropped.sort(dim=1).values, torch.arange(100.0).repeat(8, 1))


def test_crop_lengths_come_from_a_small_grid(generator: torch.Generator) -> None:
    recipe = Recipe(crop_s=1.5, crop_longest_s=5.0)
    lengths = [crop_samples(recipe, 1000, generator) for _ in range(400)]
    assert set(lengths) == {1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000}
    assert min(map(lengths.count, set(lengths))) > 25


def test_crops_reach_the_longest_length(generator: torch.Generator) -> None:
    recipe = Recipe(crop_s=1.8, crop_longest_s=2.3)
    lengths = {crop_samples(recipe, 1000, generator) for _ in range(50)}
    assert lengths == {1800, 2300}


def test_one_crop_length_draws_no_random_number(generator: torch.Generator) -> None:
    before = generator.get_state()
    assert crop_samples(Recipe(crop_s=2.0), 1000, generator) == 2000
    assert torch.equal(generator.get_state(), before)


def test_a_change_of_speed_equals_interpolation_row_by_row() -> None:
    waveform = torch.randn(12, 3000, generator=torch.Generator().manual_seed(5))
    draws = torch.rand(12, generator=torch.Generator().manual_seed(6)) * 2 - 1
    expected = []
    for row, rate in zip(waveform, torch.exp(draws * math.log(1.1)).tolist(), strict=True):
        read = round(3000 * rate)
        circular = torch.cat([row, row])[None, None, :read]
        expected.append(F.interpolate(circular, 3000, mode="linear", align_corners=True)[0, 0])
    played = change_speed(waveform, 0.1, torch.Generator().manual_seed(6))
    assert torch.allclose(played, torch.stack(expected), atol=2e-3)


def test_a_change_of_speed_changes_the_pitch_within_its_limit(generator: torch.Generator) -> None:
    seconds = torch.arange(32_000) / 32_000
    tones = torch.sin(2 * torch.pi * 1000 * seconds).repeat(40, 1)
    played = change_speed(tones, 0.1, generator)
    assert played.shape == tones.shape
    measured_hz = torch.fft.rfft(played).abs().argmax(dim=1)
    assert int(measured_hz.min()) >= 905
    assert int(measured_hz.max()) <= 1102
    assert int(measured_hz.min()) < 950 < 1050 < int(measured_hz.max())


def test_a_colour_is_a_line_through_two_to_six_levels(generator: torch.Generator) -> None:
    curves = colour(torch.zeros(300, 1, 121, 1), 1.0, generator)[:, 0, :, 0]
    bends = (curves.diff(dim=1).diff(dim=1).abs() > 1e-4).sum(dim=1)
    # A bend lies on a band, or between two of them and then shows in both.
    assert int(bends.min()) == 0, "two levels are a straight line"
    assert 4 <= int(bends.max()) <= 8, "six levels bend the line four times"


def test_colour_is_constant_over_time_and_smooth(generator: torch.Generator) -> None:
    change = colour(torch.zeros(50, 1, 128, 20), 0.3, generator)
    assert torch.equal(change, change[..., :1].expand_as(change))
    assert 0.2 < float(change.abs().max()) <= 0.3
    assert float(change.diff(dim=2).abs().max()) < 0.03


# --- masks --------------------------------------------------------------------------------


def test_masks_hide_whole_bands_and_frames_only(generator: torch.Generator) -> None:
    recipe = Recipe(frequency_mask=24, time_mask=20, masks=2)
    picture = torch.rand(400, 1, 128, 60) + 1
    masked = mask(picture, recipe, generator)
    assert masked.shape == picture.shape
    hidden = masked == 0
    assert torch.equal(masked[~hidden], picture[~hidden])
    bands = hidden.all(dim=3, keepdim=True)
    moments = hidden.all(dim=2, keepdim=True)
    assert torch.equal(hidden, bands | moments), "nothing but full rows and columns"
    assert int(bands.sum(dim=2).max()) <= 2 * 24
    assert int(moments.sum(dim=3).max()) <= 2 * 20
    assert int(bands.sum(dim=2).max()) > 24, "two masks, not one"
    assert bool(bands.any(dim=0)[0, 0])
    assert bool(bands.any(dim=0)[0, -1]), "the edges are hidden as well"


def test_without_masks_the_picture_is_unchanged(generator: torch.Generator) -> None:
    picture = torch.rand(2, 1, 16, 20)
    assert torch.equal(mask(picture, Recipe(masks=0), generator), picture)
    none = Recipe(frequency_mask=0, time_mask=0)
    assert torch.equal(mask(picture, none, generator), picture)


def test_a_picture_may_be_narrower_than_the_widest_mask(generator: torch.Generator) -> None:
    assert mask(torch.rand(32, 1, 10, 10), Recipe(), generator).shape == (32, 1, 10, 10)


# --- all of it ----------------------------------------------------------------------------


EVERYTHING = Recipe(
    crop_s=0.5, crop_longest_s=1.0, crop_share=1.0, speed=0.1, mixup_share=0.4, time_mix_share=0.3,
    frequency_mix_share=0.3, between_class=True, colour_db=6.0,
)  # fmt: skip


def test_one_generator_determines_everything() -> None:
    log_mel = LogMel(FeatureConfig(window_s=1.0))
    waveform, targets = torch.randn(8, 32_000), one_hot(8)

    def once() -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(4)
        torch.rand(int(torch.randint(1, 9, ())))  # the global generator has another state each time
        return augmented(waveform, targets, EVERYTHING, log_mel, 0.0, generator)

    for one, other in zip(once(), once(), strict=True):
        assert torch.equal(one, other)


def test_a_recipe_without_augmentation_changes_and_draws_nothing() -> None:
    log_mel = LogMel(FeatureConfig(window_s=1.0))
    off = Recipe(
        shift=False, gain_db=0.0, crop_share=0.0, speed=0.0, mixup_share=0.0, colour_db=0.0, masks=0
    )
    waveform, targets = torch.randn(3, 32_000), one_hot(3)
    generator = torch.Generator().manual_seed(4)
    before = generator.get_state()
    sound, picture, labels = augmented(waveform, targets, off, log_mel, 0.0, generator)
    assert torch.equal(sound, waveform)
    assert torch.equal(picture, log_mel(waveform))
    assert torch.equal(labels, targets)
    assert torch.equal(generator.get_state(), before)


def test_clips_are_cropped_in_the_first_part_of_the_training_only() -> None:
    log_mel = LogMel(FeatureConfig(window_s=1.0))
    recipe = Recipe(crop_s=0.5, crop_share=0.6)
    frames = [
        augmented(torch.randn(2, 32_000), one_hot(2), recipe, log_mel, progress,
                  torch.Generator())[1].shape[-1]
        for progress in (0.0, 0.59, 0.6, 0.9)
    ]  # fmt: skip
    assert frames == [32, 32, 63, 63]


def test_the_picture_is_that_of_the_returned_waveform() -> None:
    log_mel = LogMel(FeatureConfig(window_s=1.0))
    recipe = dataclasses.replace(EVERYTHING, colour_db=0.0, masks=0)
    generator = torch.Generator().manual_seed(2)
    waveform, picture, targets = augmented(
        torch.randn(8, 32_000), one_hot(8), recipe, log_mel, 0.0, generator
    )
    assert torch.equal(picture, log_mel(waveform))
    assert len(waveform) == len(targets) == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mixup_share": 0.7, "time_mix_share": 0.2, "frequency_mix_share": 0.2}, "more than 1"),
        ({"between_class": False, "time_mix_share": 0.1}, "need between_class"),
        ({"time_mix_share": -0.1}, "time_mix_share must be between"),
        ({"crop_s": 2.0, "crop_longest_s": 1.5}, "crop_longest_s must be 0 or at least crop_s"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        Recipe(**settings)


def test_the_mixing_shares_may_add_up_to_exactly_one() -> None:
    Recipe(mixup_share=0.7, time_mix_share=0.2, frequency_mix_share=0.1)
