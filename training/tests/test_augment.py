import pytest
import torch
from torch import Tensor

from training.augment import mask, mixup, shift_and_gain
from training.config import Recipe

ALWAYS = Recipe(mixup_share=1.0)


def one_hot(count: int) -> Tensor:
    return torch.eye(count)


# --- shift and gain -----------------------------------------------------------------------


def test_a_shift_is_circular_and_loses_nothing(generator: torch.Generator) -> None:
    waveform = torch.arange(1.0, 101.0).repeat(16, 1)
    shifted = shift_and_gain(waveform, 0.0, generator)
    assert shifted.shape == waveform.shape
    shifts = []
    for row in shifted:
        shift = int(row.argmin())
        assert torch.equal(row.roll(-shift), waveform[0])
        shifts.append(shift)
    assert len(set(shifts)) > 8, "each sound is shifted by its own amount"


def test_the_gain_stays_within_its_decibels_and_uses_them(generator: torch.Generator) -> None:
    gains_db = 20 * shift_and_gain(torch.ones(500, 4), 6.0, generator)[:, 0].log10()
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


def test_a_sound_is_mixed_by_the_shares_its_label_says(generator: torch.Generator) -> None:
    originals = torch.randn(32, 200, generator=torch.Generator().manual_seed(9))
    waveform, targets = mixup(originals, one_hot(32), ALWAYS, generator)
    # Row k of one_hot is sound k, so the labels are the recipe of the mixture.
    assert torch.allclose(waveform, targets @ originals, atol=1e-5)
    assert ((targets > 0.01).sum(dim=1) == 2).any()


def test_shares_are_even_handed_and_mostly_near_the_ends(generator: torch.Generator) -> None:
    recipe = Recipe(mixup_share=1.0, mixup_beta=0.3)
    count = 4000
    _, targets = mixup(torch.zeros(count, 1), one_hot(count), recipe, generator)
    shares = targets.diagonal()
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.03)
    # Beta(b, b) has the variance 1 / (4 (2 b + 1)).
    assert float(shares.var()) == pytest.approx(1 / (4 * 1.6), abs=0.01)


def test_mixup_happens_in_its_share_of_the_batches(generator: torch.Generator) -> None:
    waveform, targets = torch.randn(4, 3), one_hot(4)

    def mixed(share: float) -> int:
        recipe = Recipe(mixup_share=share)
        batches = [mixup(waveform, targets, recipe, generator) for _ in range(200)]
        return sum(not torch.equal(after, targets) for _, after in batches)

    assert mixed(0.0) == 0
    assert 60 < mixed(0.5) < 140
    assert mixed(1.0) > 180  # a permutation may leave all in place


# --- masks --------------------------------------------------------------------------------


def test_masks_hide_whole_bands_and_moments_and_leave_the_rest(generator: torch.Generator) -> None:
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


def test_without_masks_the_picture_stays(generator: torch.Generator) -> None:
    picture = torch.rand(2, 1, 16, 20)
    assert torch.equal(mask(picture, Recipe(masks=0), generator), picture)
    none = Recipe(frequency_mask=0, time_mask=0)
    assert torch.equal(mask(picture, none, generator), picture)


def test_a_picture_narrower_than_the_widest_mask_is_no_trouble(generator: torch.Generator) -> None:
    assert mask(torch.rand(32, 1, 10, 10), Recipe(), generator).shape == (32, 1, 10, 10)


# --- all of it ----------------------------------------------------------------------------


def test_one_generator_decides_everything() -> None:
    waveform, targets = torch.randn(8, 400), one_hot(8)

    def augmented() -> list[Tensor]:
        generator = torch.Generator().manual_seed(4)
        torch.rand(int(torch.randint(1, 9, ())))  # the global one is somewhere else each time
        moved = shift_and_gain(waveform, 6.0, generator)
        return [*mixup(moved, targets, ALWAYS, generator),
                mask(torch.ones(8, 1, 30, 30), Recipe(), generator)]  # fmt: skip

    for one, other in zip(augmented(), augmented(), strict=True):
        assert torch.equal(one, other)
