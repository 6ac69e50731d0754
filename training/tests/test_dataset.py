import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.audio import read
from ml.errors import AudioError
from ml.features import FeatureConfig
from training.config import esc50_dir
from training.dataset import Example, class_names, fit, load_waveforms, read_index, to_float

HALF = FeatureConfig(window_s=0.5)


def test_the_index_tells_file_fold_and_label_in_its_own_order(esc50: Path) -> None:
    examples = read_index(esc50)
    assert len(examples) == 8
    assert examples[0] == Example(esc50 / "audio" / "1-100-A-0.wav", 1, "whistle")
    assert [example.fold for example in examples] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert all(example.path.is_file() for example in examples)


def test_classes_are_in_alphabetical_order_once_each(esc50: Path) -> None:
    assert class_names(read_index(esc50)) == ("rain", "whistle")


def test_a_waveform_is_cut_or_filled_up_at_its_end() -> None:
    assert fit(np.array([1.0, 2.0, 3.0]), 2).tolist() == [1.0, 2.0]
    assert fit(np.array([1.0, 2.0, 3.0]), 3).tolist() == [1.0, 2.0, 3.0]
    assert fit(np.array([1.0, 2.0, 3.0]), 5).tolist() == [1.0, 2.0, 3.0, 0.0, 0.0]


def test_waveforms_are_those_that_users_files_decode_to(esc50: Path, tmp_path: Path) -> None:
    examples = read_index(esc50)
    samples = load_waveforms(examples, HALF, tmp_path)
    assert samples.shape == (8, HALF.window_samples)
    assert samples.dtype == torch.int16
    for row, example in zip(to_float(samples), examples, strict=True):
        decoded = read(example.path, HALF.sample_rate).waveform[: HALF.window_samples]
        assert np.abs(row.numpy() - decoded).max() < 1e-4


def test_full_scale_comes_back_as_one() -> None:
    samples = torch.tensor([-32767, 0, 32767], dtype=torch.int16)
    assert to_float(samples).tolist() == [-1.0, 0.0, 1.0]


def test_files_are_decoded_only_once(esc50: Path, tmp_path: Path) -> None:
    examples = read_index(esc50)
    folder = tmp_path / "runs"
    first = load_waveforms(examples, HALF, folder).clone()
    (cache,) = folder.iterdir()
    decoded_at = cache.stat().st_mtime_ns
    assert torch.equal(load_waveforms(examples, HALF, folder), first)
    assert cache.stat().st_mtime_ns == decoded_at


def test_changing_what_was_loaded_does_not_reach_the_cache(esc50: Path, tmp_path: Path) -> None:
    examples = read_index(esc50)
    before = load_waveforms(examples, HALF, tmp_path).clone()
    load_waveforms(examples, HALF, tmp_path).zero_()
    assert torch.equal(load_waveforms(examples, HALF, tmp_path), before)


def test_other_sounds_or_another_window_get_a_cache_of_their_own(
    esc50: Path, tmp_path: Path
) -> None:
    examples = read_index(esc50)
    assert len(load_waveforms(examples, HALF, tmp_path)) == 8
    assert len(load_waveforms(examples[:3], HALF, tmp_path)) == 3
    shorter = FeatureConfig(window_s=0.25)
    assert load_waveforms(examples, shorter, tmp_path).shape == (8, shorter.window_samples)
    changed = shutil.copytree(esc50, tmp_path / "copy")
    other = read_index(changed)
    other[0].path.write_bytes(other[1].path.read_bytes())
    assert torch.equal(*load_waveforms(other, HALF, tmp_path)[:2])


def test_a_broken_off_decoding_leaves_no_cache(esc50: Path, tmp_path: Path) -> None:
    broken = esc50 / "audio" / "broken.wav"
    broken.write_bytes(b"RIFF")
    with pytest.raises(AudioError):
        load_waveforms([*read_index(esc50), Example(broken, 1, "rain")], HALF, tmp_path / "runs")
    assert not list((tmp_path / "runs").glob("*.npy"))
    broken.unlink()
    assert len(load_waveforms(read_index(esc50), HALF, tmp_path / "runs")) == 8


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, esc50: Path) -> None:
    monkeypatch.setenv("ESC50_DIR", str(esc50))
    assert esc50_dir() == esc50
