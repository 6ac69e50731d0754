import dataclasses
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.audio.decode import read
from ml.checkpoint_info import FeatureConfig
from tests import fixtures
from training.data.index import DataError, read_index
from training.data.windows import cut, load_windows, to_float, with_unlabelled

# Eight clips of five seconds, one window each.
WHOLE = FeatureConfig(sample_rate=8_000, f_max_hz=4_000.0)


@pytest.mark.parametrize(
    ("length", "windows"),
    [(1, 1), (9, 1), (10, 1), (14, 1), (15, 2), (20, 2), (24, 2), (25, 3), (26, 3)],
)
def test_a_remainder_counts_from_half_a_window(length: int, windows: int) -> None:
    waveform = np.arange(1, length + 1, dtype=np.float32)
    pieces = list(cut(waveform, 10))
    assert len(pieces) == windows
    assert all(piece.shape == (10,) for piece in pieces)
    whole = np.concatenate(pieces)
    kept = min(length, 10 * windows)
    assert whole[:kept].tolist() == waveform[:kept].tolist()
    assert not whole[kept:].any()


def test_windows_match_the_decoded_files(esc50: Path, tmp_path: Path) -> None:
    examples = read_index(esc50)
    windows = load_windows(examples, WHOLE, tmp_path)
    assert windows.samples.shape == (8, WHOLE.window_samples)
    assert windows.samples.dtype == torch.int16
    assert windows.labels.tolist() == [1, 0] * 4
    for row, example in zip(to_float(windows.samples), examples, strict=True):
        decoded = read(example.path, WHOLE.sample_rate).waveform[: WHOLE.window_samples]
        assert np.abs(row.numpy() - decoded).max() < 1e-4


def test_long_clips_give_more_rows_of_the_same_clip_and_fold(esc50: Path, tmp_path: Path) -> None:
    examples = read_index(esc50)
    windows = load_windows(examples, dataclasses.replace(WHOLE, window_s=2.0), tmp_path)
    assert windows.clips.tolist() == [clip for clip in range(8) for _ in range(3)]
    assert windows.labels.tolist() == ([1] * 3 + [0] * 3) * 4
    assert windows.of(examples, [2]).tolist() == list(range(6, 12))
    assert windows.of(examples, [1, 4]).tolist() == [*range(6), *range(18, 24)]


def test_full_scale_comes_back_as_one() -> None:
    samples = torch.tensor([-32767, 0, 32767], dtype=torch.int16)
    assert to_float(samples).tolist() == [-1.0, 0.0, 1.0]


def test_files_are_decoded_only_once(esc50: Path, tmp_path: Path) -> None:
    examples = read_index(esc50)
    folder = tmp_path / "runs"
    first = load_windows(examples, WHOLE, folder).samples.clone()
    (cache,) = folder.iterdir()
    decoded_at = cache.stat().st_mtime_ns
    assert torch.equal(load_windows(examples, WHOLE, folder).samples, first)
    assert cache.stat().st_mtime_ns == decoded_at


def test_runs_that_start_at_once_share_one_cache(esc50: Path, tmp_path: Path) -> None:
    examples = read_index(esc50)
    folder = tmp_path / "runs"
    with ThreadPoolExecutor(4) as pool:
        at_once = [pool.submit(load_windows, examples, WHOLE, folder) for _ in range(4)]
    alone = load_windows(examples, WHOLE, tmp_path / "alone").samples
    assert all(torch.equal(one.result().samples, alone) for one in at_once)
    assert [path.suffix for path in folder.iterdir()] == [".windows"]


def test_changes_to_loaded_windows_do_not_reach_the_cache(esc50: Path, tmp_path: Path) -> None:
    examples = read_index(esc50)
    before = load_windows(examples, WHOLE, tmp_path).samples.clone()
    load_windows(examples, WHOLE, tmp_path).samples.zero_()
    assert torch.equal(load_windows(examples, WHOLE, tmp_path).samples, before)


def test_other_sounds_or_another_window_use_another_cache(esc50: Path, tmp_path: Path) -> None:
    examples = read_index(esc50)
    assert len(load_windows(examples, WHOLE, tmp_path).samples) == 8
    assert len(load_windows(examples[:3], WHOLE, tmp_path).samples) == 3
    changed = shutil.copytree(esc50, tmp_path / "copy")
    other = read_index(changed)
    other[0].path.write_bytes(other[1].path.read_bytes())
    assert torch.equal(*load_windows(other, WHOLE, tmp_path).samples[:2])


def test_only_the_sound_settings_determine_the_cache(esc50: Path, tmp_path: Path) -> None:
    examples = read_index(esc50)
    load_windows(examples, WHOLE, tmp_path / "runs")
    load_windows(examples, dataclasses.replace(WHOLE, mels=64), tmp_path / "runs")
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_a_file_that_cannot_be_read_is_named_and_leaves_no_cache(
    esc50: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(esc50, tmp_path / "copy")
    examples = read_index(copied)
    examples[5].path.write_bytes(fixtures.encode(fixtures.tone(duration_s=1.0))[:-30_000])
    with pytest.raises(DataError, match=f"{examples[5].path.name}.*damaged"):
        load_windows(examples, WHOLE, tmp_path / "runs")
    assert not list((tmp_path / "runs").glob("*.windows"))
    examples[5].path.unlink()
    with pytest.raises(DataError, match=f"{examples[5].path.name}.*does not exist"):
        load_windows(examples, WHOLE, tmp_path / "runs")


def test_windows_without_a_label_come_last_and_are_in_no_fold(esc50: Path, tmp_path: Path) -> None:
    examples = read_index(esc50)
    labelled = load_windows(examples, WHOLE, tmp_path)
    files = [examples[3].path, examples[0].path]
    windows = with_unlabelled(labelled, files, WHOLE, tmp_path)
    assert windows.labels.tolist() == [*labelled.labels.tolist(), -1, -1]
    assert windows.clips.tolist() == list(range(10))
    assert windows.unlabelled().tolist() == [8, 9]
    assert windows.of(examples, [1, 2, 3, 4]).tolist() == list(range(8))
    assert windows.of(examples, [2]).tolist() == [2, 3]
    assert torch.equal(windows.samples[[8, 9]], labelled.samples[[3, 0]])
    assert len(list(tmp_path.iterdir())) == 2, "each has a cache of its own"
