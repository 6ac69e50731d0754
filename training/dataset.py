"""ESC-50 on disk → waveforms in memory, decoded by the same code that serves users."""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ml.audio import read
from ml.features import FeatureConfig


@dataclass(frozen=True, slots=True)
class Example:
    path: Path
    fold: int
    label: str


def read_index(folder: Path) -> list[Example]:
    """`meta/esc50.csv` of either edition (Ogg or WAV), in its own order."""
    with (folder / "meta" / "esc50.csv").open(newline="") as file:
        return [
            Example(folder / "audio" / row["filename"], int(row["fold"]), row["category"])
            for row in csv.DictReader(file)
        ]


def class_names(examples: list[Example]) -> tuple[str, ...]:
    return tuple(sorted({example.label for example in examples}))


def fit(waveform: np.ndarray, samples: int) -> np.ndarray:
    """Cut or pad with zeros, at the end, to exactly `samples`."""
    return np.pad(waveform[:samples], (0, max(0, samples - len(waveform))))


def load_waveforms(examples: list[Example], features: FeatureConfig, folder: Path) -> Tensor:
    """(examples, samples) int16, decoded once into `folder` and memory-mapped from there.

    The cache is named after the files, their sizes and the features: other data, another cache.
    """
    shape = (len(examples), features.window_samples)
    listed = [f"{e.path.resolve()} {e.path.stat().st_size}" for e in examples]
    digest = hashlib.sha256("\n".join([str(features), *listed]).encode())
    cache = folder / f"waveforms-{digest.hexdigest()[:12]}.npy"
    if not cache.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        partial = cache.with_suffix(".partial")
        store = np.lib.format.open_memmap(partial, mode="w+", dtype=np.int16, shape=shape)
        for row, example in enumerate(examples):
            waveform = fit(read(example.path, features.sample_rate).waveform, shape[1])
            store[row] = np.clip(np.round(waveform * 32767), -32768, 32767)
        store.flush()
        partial.replace(cache)
    store = np.load(cache, mmap_mode="c")
    return torch.from_numpy(store)


def to_float(samples: Tensor) -> Tensor:
    """int16 → float32 in [-1, 1]."""
    return samples.float() / 32767
