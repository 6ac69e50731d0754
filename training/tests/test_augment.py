import pytest
import torch
from torch import Tensor

from ml.checkpoint_info import FeatureConfig
from ml.features import LogMel
from training.augment import (
    augmented,
    between_class,
    change_speed,
    colour,
    crop,
    gain,
    mask,
    mixup,
    shift,
)
from training.config import Recipe

ALWAYS = Recipe(mixup_share=1.0)


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


# --- crop, speed, between-class mixing, colour --------------------------------------------


def test_a_crop_is_a_piece_of_the_sound_and_prefers_the_loud_one(
    generator: torch.Generator,
) -> None:
    waveform = torch.arange(1000.0).repeat(200, 1)
    cropped = crop(waveform, 100, generator)
    assert cropped.shape == (200, 100)
    assert torch.equal(cropped, (cropped[:, :1] + torch.arange(100)) % 1000)
    # Of two even draws the larger start is at two thirds, on average.
    assert float(cropped[:, 0].mean()) > 580


def test_a_change_of_speed_changes_the_pitch_within_its_limit(generator: torch.Generator) -> None:
    seconds = torch.arange(32_000) / 32_000
    tones = torch.sin(2 * torch.pi * 1000 * seconds).repeat(40, 1)
    played = change_speed(tones, 0.1, generator)
    assert played.shape == tones.shape
    measured_hz = torch.fft.rfft(played).abs().argmax(dim=1)
    assert int(measured_hz.min()) >= 905
    assert int(measured_hz.max()) <= 1102
    assert int(measured_hz.min()) < 950 < 1050 < int(measured_hz.max())


def test_between_class_mixing_compensates_different_levels(
    generator: torch.Generator,
) -> None:
    loud, quiet = torch.randn(1, 32_000), 0.05 * torch.randn(1, 32_000)
    waveform = torch.cat([loud, quiet] * 8)
    targets = torch.eye(2).repeat(8, 1)
    mixed, labels = between_class(waveform, targets, 1.0, generator)
    assert torch.allclose(labels.sum(dim=1), torch.ones(16))
    for sound, label in zip(mixed, labels, strict=True):
        if 0.05 < float(label[0]) < 0.95:
            parts = torch.linalg.lstsq(torch.cat([loud, quiet]).T, sound[:, None]).solution[:, 0]
            evaluated = parts * torch.tensor([float(loud.std()), float(quiet.std())])
            assert float(evaluated[0] / evaluated.sum()) == pytest.approx(float(label[0]), abs=0.05)


def test_a_share_of_zero_mixes_no_sound(generator: torch.Generator) -> None:
    waveform, targets = torch.randn(6, 8_000), one_hot(6)
    mixed, labels = between_class(waveform, targets, 0.0, generator)
    assert torch.allclose(mixed, waveform)
    assert torch.equal(labels, targets)


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
    crop_s=0.5, crop_share=1.0, speed=0.1, mixup_share=1.0, between_class=True, colour_db=6.0
)


def test_one_generator_determines_everything() -> None:
    log_mel = LogMel(FeatureConfig(window_s=1.0))
    waveform, targets = torch.randn(8, 32_000), one_hot(8)

    def once() -> tuple[Tensor, Tensor]:
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
    picture, labels = augmented(waveform, targets, off, log_mel, 0.0, generator)
    assert torch.equal(picture, log_mel(waveform))
    assert torch.equal(labels, targets)
    assert torch.equal(generator.get_state(), before)


def test_clips_are_cropped_in_the_first_part_of_the_training_only() -> None:
    log_mel = LogMel(FeatureConfig(window_s=1.0))
    recipe = Recipe(crop_s=0.5, crop_share=0.6)
    frames = [
        augmented(torch.randn(2, 32_000), one_hot(2), recipe, log_mel, progress,
                  torch.Generator())[0].shape[-1]
        for progress in (0.0, 0.59, 0.6, 0.9)
    ]  # fmt: skip
    assert frames == [32, 32, 63, 63]
