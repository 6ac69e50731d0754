"""Recognise sounds of the same recording, also after encoding, resampling or a change of level.

A sound's fingerprint is a list of hashes, each of two peaks of its spectrogram: their frequencies
and the time between them. Two sounds share a recording if many hashes are in both, all with the
same offset in time. Source: A. Wang, An industrial-strength audio search algorithm (ISMIR 2003).
docs/training.md says what this finds in ESC-50.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

RATE_HZ = 32_000
FRAME_SAMPLES, HOP_SAMPLES = 2048, 320
# 125 Hz to 4.5 kHz: lossy encoders and low sample rates keep it.
LOWEST_BIN, HIGHEST_BIN = 8, 288
# A peak is the largest value within so many bins and frames, and within 60 dB of the loudest one.
BINS_AROUND, FRAMES_AROUND = 6, 6
PEAK_RANGE = 1e-3
# Each peak is paired with the next ones, up to so many frames and bins away.
PAIRS, FRAMES_AWAY, BINS_AWAY = 12, 60, 64
# Larger than any difference between two times, in frames: ten minutes have 60,000.
OFFSETS = 1 << 18
HASHES = 1 << 24
# Hashes with a common offset by which two sounds are recognised as the same: this many, and this
# share of the hashes of the sound that has fewer.
MIN_COMMON, COMMON_SHARE = 10, 0.02


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Hashes of a sound.

    Attributes
    ----------
    hashes : (n,) int64, 0 to HASHES - 1
    frames : (n,) int64 index of the frame of each hash's first peak
    """

    hashes: NDArray[np.int64]
    frames: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Match:
    """Another sound of the same recording.

    Attributes
    ----------
    sound : its index
    common : number of common hashes with the same offset
    """

    sound: int
    common: int


def fingerprint(waveform: NDArray[np.float32]) -> Fingerprint:
    """Return the fingerprint of a waveform (samples,) at RATE_HZ."""
    bins, frames = _peaks(torch.from_numpy(waveform))
    hashes, starts = [], []
    for step in range(1, min(PAIRS, len(bins) - 1) + 1):
        away, rise = frames[step:] - frames[:-step], bins[step:] - bins[:-step]
        near = (away > 0) & (away <= FRAMES_AWAY) & (np.abs(rise) <= BINS_AWAY)
        # 9 bits for the bin, 8 for the rise and 6 for the frames between.
        low, rise, away = bins[:-step][near], rise[near] + BINS_AWAY, away[near]
        hashes.append((low << 14) | (rise << 6) | away)
        starts.append(frames[:-step][near])
    if not hashes:
        return Fingerprint(np.zeros(0, np.int64), np.zeros(0, np.int64))
    return Fingerprint(np.concatenate(hashes), np.concatenate(starts))


def _peaks(waveform: torch.Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the bins and frames of the peaks of the spectrogram, in the order of the frames."""
    padded = F.pad(waveform, (0, max(0, FRAME_SAMPLES - len(waveform))))
    spectrum = torch.stft(
        padded, FRAME_SAMPLES, HOP_SAMPLES, window=torch.hann_window(FRAME_SAMPLES), center=False,
        return_complex=True,
    ).abs()[LOWEST_BIN:HIGHEST_BIN]  # fmt: skip
    around = F.max_pool2d(spectrum[None], (2 * BINS_AROUND + 1, 1), 1, (BINS_AROUND, 0))
    around = F.max_pool2d(around, (1, 2 * FRAMES_AROUND + 1), 1, (0, FRAMES_AROUND))[0]
    audible = spectrum > spectrum.max() * PEAK_RANGE
    frames, bins = ((spectrum == around) & audible).T.nonzero(as_tuple=True)
    return bins.numpy(), frames.numpy()


class Index:
    """The fingerprints of many sounds, to look up those that share a recording."""

    def __init__(self, fingerprints: Sequence[Fingerprint]) -> None:
        self._sizes = np.array([len(one.hashes) for one in fingerprints])
        hashes = np.concatenate([one.hashes for one in fingerprints])
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._frames = np.concatenate([one.frames for one in fingerprints])[order]
        self._sounds = np.repeat(np.arange(len(fingerprints)), self._sizes)[order]

    def matches(self, sought: Fingerprint) -> list[Match]:
        """Return the sounds that share a recording with `sought`, the most similar first."""
        sounds, common = self.common(sought)
        smaller = np.minimum(self._sizes[sounds], len(sought.hashes))
        enough = common >= np.maximum(MIN_COMMON, COMMON_SHARE * smaller)
        found = [
            Match(int(sound), int(count))
            for sound, count in zip(sounds[enough], common[enough], strict=True)
        ]
        return sorted(found, key=lambda match: -match.common)

    def common(self, sought: Fingerprint) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return sounds (n,) and their numbers (n,) of common hashes with the same offset.

        The offset may differ by a frame, because frames rarely start at the same sample.
        """
        first = np.searchsorted(self._hashes, sought.hashes, "left")
        counts = np.searchsorted(self._hashes, sought.hashes, "right") - first
        asked = np.repeat(np.arange(len(counts)), counts)
        found = np.repeat(first - (counts.cumsum() - counts), counts) + np.arange(counts.sum())
        offsets = self._frames[found] - sought.frames[asked] + OFFSETS // 2
        places = self._sounds[found] * OFFSETS + offsets
        # A hash counts once at an offset, or a steady tone would match every other one. Sorting is
        # much faster here than np.unique, which builds a hash table.
        votes = np.sort(places * HASHES + sought.hashes[asked])
        votes = votes[np.diff(votes, prepend=-1) > 0]
        places, common = np.unique(votes // HASHES, return_counts=True)
        following = np.append(common[1:], 0) * (np.append(np.diff(places), 0) == 1)
        common = common + following
        sounds, starts = np.unique(places // OFFSETS, return_index=True)
        if not len(sounds):
            return sounds, sounds
        return sounds, np.maximum.reduceat(common, starts)
