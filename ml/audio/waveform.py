"""Waveforms: arrays in memory, and long recordings on disk, of which parts are read."""

import os
import tempfile
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# Four megabytes: what is read at once to draw or encode a whole waveform.
PART_SAMPLES = 1 << 20


class Waveform(Protocol):
    """Mono samples, of which a part can be read: an array or `SamplesOnDisk`."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Samples: ...


class WaveformPart:
    """The samples of a waveform from `start` to `stop`, read when asked for."""

    def __init__(self, waveform: Waveform, start: int, stop: int) -> None:
        self._waveform, self._start = waveform, start
        self._samples = max(0, min(stop, len(waveform)) - start)

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, part: slice, /) -> Samples:
        """Read `[start:stop]`."""
        start, stop, _ = part.indices(self._samples)
        return self._waveform[self._start + start : self._start + stop]


def parts_of(waveform: Waveform) -> Iterator[Samples]:
    """Yield a waveform in parts of at most `PART_SAMPLES`."""
    for start in range(0, len(waveform), PART_SAMPLES):
        yield waveform[start : start + PART_SAMPLES]


class SamplesOnDisk:
    """A growing waveform in an unnamed file, which disappears with this object.

    Not thread-safe.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        """Create the file in `folder`, by default in the system's folder for temporary files.

        Raises
        ------
        OSError
            The file cannot be created.
        """
        self._file = tempfile.TemporaryFile(buffering=0, dir=folder)  # noqa: SIM115 - see __del__
        self._samples = 0

    def append(self, samples: Samples) -> None:
        """Write samples, (samples,) float32, to the end.

        Raises
        ------
        OSError
            They cannot be written, for example because the disk is full.
        """
        self._file.seek(0, os.SEEK_END)
        view = np.ascontiguousarray(samples).data.cast("B")
        while view:
            view = view[self._file.write(view) :]
        self._samples += len(samples)

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, part: slice, /) -> Samples:
        """Read `[start:stop]`."""
        start, stop, step = part.indices(self._samples)
        if step != 1:
            raise ValueError("only neighbouring samples can be read")
        samples = np.empty(max(0, stop - start), np.float32)
        view = samples.data.cast("B")
        self._file.seek(start * samples.itemsize)
        while view:
            count = self._file.readinto(view)
            if not count:
                raise EOFError("the file with the samples is too short")
            view = view[count:]
        return samples

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
