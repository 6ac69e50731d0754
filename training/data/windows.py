"""Cut sounds into windows of samples, decoded once by the same code as in an analysis."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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

# Files that are decoded by threads before the first of them is written.
DECODED_AHEAD = 64


@dataclass(frozen=True, slots=True)
class Windows:
    """The training data, one row per window.

    Attributes
    ----------
    samples : (windows, samples) int16, memory-mapped unless there are some without labels
    labels : (windows,) int64 class indices, -1 without a label
    clips : (windows,) int64 index of the clip that each window was cut from; those without a label
        are numbered after all others
    """

    samples: Tensor
    labels: Tensor
    clips: Tensor

    def of(self, examples: Sequence[Example], folds: Sequence[int]) -> Tensor:
        """Return the rows (int64) of the windows whose clips are in `folds`.

        Windows without a label are in no fold.
        """
        wanted = torch.tensor([example.fold in folds for example in examples])
        labelled = (self.labels >= 0).nonzero().flatten()
        return labelled[wanted[self.clips[labelled]]]

    def unlabelled(self) -> Tensor:
        """Return the rows (int64) of the windows without a label."""
        return (self.labels < 0).nonzero().flatten()


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

    Raises
    ------
    DataError
        A file is missing or cannot be decoded; the message names it.
    """
    samples, clips = _cached([example.path for example in examples], features, folder)
    names = class_names(examples)
    classes = torch.tensor([names.index(example.label) for example in examples])
    return Windows(samples, classes[clips], clips)


def with_unlabelled(
    windows: Windows, files: Sequence[Path], features: FeatureConfig, folder: Path
) -> Windows:
    """Return `windows`, in memory, followed by those of sounds without labels.

    Parameters
    ----------
    files : of the sounds without labels, with a cache file of their own in `folder`

    Raises
    ------
    DataError
        A file is missing or cannot be decoded; the message names it.
    """
    samples, clips = _cached(files, features, folder)
    return Windows(
        torch.cat([windows.samples, samples]),
        torch.cat([windows.labels, torch.full_like(clips, -1)]),
        torch.cat([windows.clips, clips + windows.clips.max() + 1]),
    )


def _cached(files: Sequence[Path], features: FeatureConfig, folder: Path) -> tuple[Tensor, Tensor]:
    """Return the windows of the files, and the index of the file that each was cut from.

    The cache is named after the files, their sizes and modification times, and the features, so
    other data uses another cache.

    Returns
    -------
    samples : (windows, samples) int16, memory-mapped
    clips : (windows,) int64
    """
    listed = []
    for path in files:
        if not path.is_file():
            raise DataError(f"{path} is in the list of clips but does not exist.")
        stat = path.stat()
        listed.append(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}")
    sound = (features.sample_rate, features.window_samples)
    digest = hashlib.sha256("\n".join([str(sound), *listed]).encode())
    cache = folder / f"waveforms-{digest.hexdigest()[:12]}.windows"
    row = np.dtype([("clip", np.int32), ("samples", np.int16, (features.window_samples,))])
    if not cache.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # A unique name, because two runs may start at the same time.
        with NamedTemporaryFile(dir=folder, suffix=".partial", delete=False) as file:
            for clip, waveform in enumerate(_waveforms(files, features.sample_rate)):
                for piece in cut(waveform, features.window_samples):
                    store = np.zeros(1, row)
                    store["clip"] = clip
                    store["samples"] = np.clip(np.round(piece * 32767), -32768, 32767)
                    file.write(store.tobytes())
        Path(file.name).replace(cache)
    stored = np.memmap(cache, dtype=row, mode="c")
    clips = torch.from_numpy(stored["clip"].astype(np.int64))
    return torch.from_numpy(stored["samples"]), clips


def _waveforms(files: Sequence[Path], sample_rate: int) -> Iterator[NDArray[np.float32]]:
    """Yield the waveform (samples,) of each file, decoded in threads."""
    with ThreadPoolExecutor() as pool:
        # In parts, so that not all waveforms are in memory.
        for start in range(0, len(files), DECODED_AHEAD):
            part = files[start : start + DECODED_AHEAD]
            yield from pool.map(partial(_decoded, sample_rate=sample_rate), part)


def _decoded(path: Path, sample_rate: int) -> NDArray[np.float32]:
    try:
        return read(path, sample_rate).waveform
    except AudioError as error:
        raise DataError(f"{path}: {error}") from error


def to_float(samples: Tensor) -> Tensor:
    """Convert int16 samples of any shape to float32 in [-1, 1]."""
    return samples.float() / 32767
