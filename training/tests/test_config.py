import dataclasses

import pytest

from training.config import ORIGINAL, RECIPES, Recipe, SettingError, changed, small, unmixed


def test_every_field_can_be_set_by_name() -> None:
    recipe = changed(
        Recipe(), ["epochs=3", "gain_db=0.5", "between_class=yes", "precision=fp32", "shift=no"]
    )
    assert recipe == dataclasses.replace(
        Recipe(), epochs=3, gain_db=0.5, between_class=True, precision="fp32", shift=False
    )
    for field in dataclasses.fields(Recipe):
        value = getattr(Recipe(), field.name)
        text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        assert changed(Recipe(), [f"{field.name}={text}"]) == Recipe()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("learning_rat=1", "Did you mean learning_rate"),
        ("zzz=1", "The fields are: epochs, batch"),
        ("epochs", "Write it as name=value"),
        ("epochs=many", "epochs must be a whole number, not 'many'"),
        ("epochs=1.5", "epochs must be a whole number"),
        ("epochs=0", "epochs must be greater than 0"),
        ("gain_db=loud", "gain_db must be a number"),
        ("shift=perhaps", "shift must be yes or no"),
        ("mixup_share=1.5", "mixup_share must be between 0 and 1"),
        ("ema=1", "ema must be less than 1"),
        ("precision=fp8", "bf16"),
        ("speed=1.5", "speed must be at least 0 and less than 1"),
        ("crop_s=0", "crop_share requires crop_s"),
    ],
)
def test_an_invalid_setting_is_rejected_with_a_message(setting: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        changed(Recipe(), [setting])


def test_the_originals_settings_are_those_it_documents() -> None:
    recipe, features = ORIGINAL.recipe, ORIGINAL.features
    assert (recipe.epochs, recipe.batch, recipe.learning_rate) == (100, 32, 0.002)
    assert (recipe.weight_decay, recipe.label_smoothing, recipe.ema) == (0.01, 0.1, 0)
    assert (recipe.mixup_share, recipe.mixup_beta) == (0.3, 0.2)
    assert (recipe.frequency_mask, recipe.time_mask) == (30, 80)
    assert (features.sample_rate, features.mels, features.n_fft) == (22_050, 128, 1024)
    assert (features.hop_samples, features.f_min_hz, features.f_max_hz) == (512, 0, 11_025)
    assert RECIPES["sonoscope"].recipe == Recipe()


def test_the_distilled_recipe_has_varied_lengths_most_sounds_mixed_and_whole_clips_last() -> None:
    recipe, features = RECIPES["distilled"].recipe, RECIPES["distilled"].features
    assert (recipe.crop_s, recipe.crop_longest_s) == (1.5, features.window_s)
    assert 0.85 <= recipe.crop_share <= 0.9
    mixed = recipe.mixup_share + recipe.time_mix_share + recipe.frequency_mix_share
    assert recipe.between_class
    assert recipe.time_mix_share > 0
    assert recipe.frequency_mix_share > 0
    assert 0.5 < mixed < 1
    assert recipe.teacher_weight > recipe.label_weight
    assert features == RECIPES["sonoscope"].features


@pytest.mark.parametrize("name", RECIPES)
def test_a_small_run_keeps_the_augmentations_of_its_recipe(name: str) -> None:
    recipe, shorter = RECIPES[name].recipe, small(RECIPES[name].recipe)
    assert shorter.recipe.epochs <= 3
    assert shorter.recipe.crop_longest_s <= shorter.features.window_s
    for field in ("mixup_share", "time_mix_share", "frequency_mix_share", "crop_share", "masks"):
        assert getattr(shorter.recipe, field) == getattr(recipe, field)
    assert bool(shorter.recipe.ema) == bool(recipe.ema)


def test_an_unmixed_recipe_mixes_no_sounds_and_is_otherwise_the_same() -> None:
    recipe = Recipe(mixup_share=0.5, time_mix_share=0.2, frequency_mix_share=0.1, crop_share=0.5)
    assert unmixed(recipe) == dataclasses.replace(
        recipe, mixup_share=0.0, time_mix_share=0.0, frequency_mix_share=0.0
    )
