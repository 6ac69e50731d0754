"""Cut sounds into windows of samples, decoded once by the same code as in an analysis."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.audio.decode import read
from ml.checkpoint_info import FeatureConfig
from ml.errors import AudioError
from training.data.index import DataError, Example, class_names


@dataclass(frozen=True, slots=True)
class Windows:
    """The training data, one row per window.

    Attributes
    ----------
    samples : (windows, samples) int16, memory-mapped
    labels : (windows,) int64 class indices
    clips : (windows,) int64 index of the clip that each window was cut from
    """

    samples: Tensor
    labels: Tensor
    clips: Tensor

    def of(self, examples: Sequence[Example], folds: Sequence[int]) -> Tensor:
        """Return the rows (int64) of the windows whose clips are in `folds`."""
        wanted = torch.tensor([example.fold in folds for example in examples])
        return wanted[self.clips].nonzero().flatten()


def cut(waveform: NDArray[np.float32], samples: int) -> Iterator[NDArray[np.float32]]:
    """Yield consecutive windows of exactly `samples` samples.

    A remainder of at least half a window is padded with zeros; a shorter one is dropped. A clip
    that is shorter than a window is padded to one window.

    Parameters
    ----------
    waveform : (n,) float32

    Yields
    ------
    (samples,) float32
    """
    for start in range(0, max(len(waveform), 1), samples):
        piece = waveform[start : start + samples]
        if start == 0 or 2 * len(piece) >= samples:
            yield np.pad(piece, (0, samples - len(piece)))


def load_windows(examples: Sequence[Example], features: FeatureConfig, folder: Path) -> Windows:
    """Decode the clips into a cache file in `folder` and memory-map it.

    The cache is named after the files, their sizes and modification times, and the features, so
    other data uses another cache.

    Raises
    ------
    DataError
        A file is missing or cannot be decoded; the message names it.
    """
    listed = []
    for example in examples:
        if not example.path.is_file():
            raise DataError(f"{example.path} is in the list of clips but does not exist.")
        stat = example.path.stat()
        listed.append(f"{example.path.resolve()} {stat.st_size} {stat.st_mtime_ns}")
    sound = (features.sample_rate, features.window_samples)
    digest = hashlib.sha256("\n".join([str(sound), *listed]).encode())
    cache = folder / f"waveforms-{digest.hexdigest()[:12]}.windows"
    row = np.dtype([("clip", np.int32), ("samples", np.int16, (features.window_samples,))])
    if not cache.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # A unique name, because two runs may start at the same time.
        with NamedTemporaryFile(dir=folder, suffix=".partial", delete=False) as file:
            for clip, example in enumerate(examples):
                for piece in cut(_decoded(example, features.sample_rate), features.window_samples):
                    store = np.zeros(1, row)
                    store["clip"] = clip
                    store["samples"] = np.clip(np.round(piece * 32767), -32768, 32767)
                    file.write(store.tobytes())
        Path(file.name).replace(cache)
    stored = np.memmap(cache, dtype=row, mode="c")
    names = class_names(examples)
    classes = torch.tensor([names.index(example.label) for example in examples])
    clips = torch.from_numpy(stored["clip"].astype(np.int64))
    return Windows(torch.from_numpy(stored["samples"]), classes[clips], clips)


def _decoded(example: Example, sample_rate: int) -> NDArray[np.float32]:
    try:
        return read(example.path, sample_rate).waveform
    except AudioError as error:
        raise DataError(f"{example.path}: {error}") from error


def to_float(samples: Tensor) -> Tensor:
    """Convert int16 samples of any shape to float32 in [-1, 1]."""
    return samples.float() / 32767
