"""Mix the channels of a sound to mono, and notice if they cancel each other out."""

import numpy as np
from numpy.typing import NDArray

from ml.audio.waveform import Samples

# Channels quieter than this (mean square; −100 dB) have nothing to lose.
QUIET = 1e-10
# The mean of n unrelated channels has 1/n of their mean power, and so has the mean of one loud
# channel and silent ones. Less than this share of it is left only if some are inverted.
LEFT_SHARE = 0.1
# Parts of up to this length are judged each, so that others cannot hide what one has lost.
PART_FRAMES = 65_536
# The channel is chosen if parts with this share of the energy have lost most of it.
LOST_SHARE = 0.5


class Mixer:
    """Average the channels, or take one of them, and measure what is lost.

    Parameters
    ----------
    channel : int or None
        The channel to take instead of the mean.
    """

    def __init__(self, channel: int | None) -> None:
        self._channel = channel
        self._energies: NDArray[np.float64] = np.zeros(1)
        self._lost_energy, self._frames = 0.0, 0

    def mono(self, block: Samples) -> Samples:
        """Return (frames,) for (frames, channels)."""
        channels = block.shape[1]
        if channels == 1:
            return block[:, 0]
        if self._channel is not None:
            return block[:, min(self._channel, channels - 1)]
        # Channel by channel: NumPy is slow along an axis of two.
        mono = sum(block.T[1:], start=block[:, 0]) / np.float32(channels)
        if channels != len(self._energies):
            self._start(channels)
        for first in range(0, len(mono), PART_FRAMES):
            self._measure(block[first : first + PART_FRAMES], mono[first : first + PART_FRAMES])
        return mono

    def _measure(self, block: Samples, mono: Samples) -> None:
        energies = np.array([float(np.dot(one, one)) for one in block.T])
        if float(np.dot(mono, mono)) < LEFT_SHARE * energies.sum() / len(energies) ** 2:
            self._lost_energy += energies.sum()
        self._energies += energies
        self._frames += len(mono)

    def cancelled(self) -> int | None:
        """Return the loudest channel if the mean has lost most of the energy in half of the parts
        since the last call, weighted by their energy.
        """
        energies, lost_energy, frames = self._energies, self._lost_energy, self._frames
        channels = len(energies)
        self._start(channels)
        if not frames or energies.max() < QUIET * frames:
            return None
        if lost_energy >= LOST_SHARE * energies.sum():
            return int(energies.argmax())
        return None

    def _start(self, channels: int) -> None:
        self._energies = np.zeros(channels)
        self._lost_energy, self._frames = 0.0, 0
