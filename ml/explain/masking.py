"""Split a sound by its attribution with a time-frequency mask, for listening."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ml.explain.results import GRADIENT
from ml.features import LogMel

# The mask is 1 for the 10 % of a window's cells with the highest attribution and falls to 0 at
# 40 %. docs/explanations.md gives the reasons.
FADE_FROM, FADE_TO = 0.4, 0.1
# The length of the part whose loudness is matched, and the largest gain.
LOUD_PART_S, MAX_GAIN_DB = 0.4, 20.0


@dataclass(frozen=True, slots=True)
class Split:
    """The part of a sound under a mask and the rest, which add up to the original.

    Neither part is amplified. Classify them as they are; apply `equal_gains` for playback.

    Attributes
    ----------
    kept : (batch, samples) float32
        The part under the mask.
    rest : (batch, samples) float32
        Everything else.
    """

    kept: Tensor
    rest: Tensor


def mask_of(attribution: Tensor, method: str) -> Tensor:
    """Return the mask that an attribution stands for, (batch, H, W) in [0, 1].

    The decoder and the refinement draw masks. Attribution by gradients is only an order of the
    cells, of which a mask takes the first.

    Parameters
    ----------
    attribution : (batch, H, W) in [0, 1]
    method : str
        As in `ml.explain.results.Explanation`.
    """
    return audible(attribution) if method == GRADIENT else attribution


def audible(attribution: Tensor) -> Tensor:
    """Turn attribution into a mask with soft edges.

    Parameters
    ----------
    attribution : (batch, H, W) in [0, 1]

    Returns
    -------
    Tensor
        (batch, H, W) in [0, 1]. The mask is 0 where the attribution is 0.
    """
    cells = attribution.flatten(1)
    low, high = (
        torch.quantile(cells, 1 - share, dim=1)[:, None, None] for share in (FADE_FROM, FADE_TO)
    )
    span = (high - low).clamp_min(torch.finfo(attribution.dtype).tiny)
    return ((attribution - low) / span).clamp(0, 1) * (attribution > 0)


class Masking:
    """Apply masks to the short-time spectrum of a window and resynthesise the sound.

    The frames are those of the checkpoint's features, so the cells of a mask are those of the
    log-mel spectrogram.
    """

    def __init__(self, log_mel: LogMel) -> None:
        features = log_mel.config
        self.features = features
        self.hann = torch.hann_window(features.n_fft, device=log_mel.bank.device)
        self.frames = 1 + features.window_samples // features.hop_samples
        # (bins, mels): each FFT bin takes from the two bands whose centres it lies between.
        centres_hz = np.array(log_mel.band_centres_hz())
        bins_hz = np.linspace(0, features.sample_rate / 2, log_mel.bank.shape[0])
        columns = [np.interp(bins_hz, centres_hz, band) for band in np.eye(len(centres_hz))]
        to_bins = torch.from_numpy(np.stack(columns, axis=1)).float()
        self.to_bins = to_bins.to(log_mel.bank.device)

    def split(self, waveforms: Tensor, masks: Tensor) -> Split:
        """Split windows by their masks.

        Amplitudes are multiplied by the mask: 0.5 is 6 dB less.

        Parameters
        ----------
        waveforms : (batch, samples) in [-1, 1]
            At most a window long.
        masks : (batch, H, W) in [0, 1]
            They cover the whole window; row 0 is the lowest frequency. H and W are free.
        """
        n_fft, hop = self.features.n_fft, self.features.hop_samples
        short = self.features.window_samples - waveforms.shape[1]
        # Pad with zeros, so that the last samples also lie well inside a frame.
        padded = F.pad(waveforms, (0, short + n_fft))
        spectrum = torch.stft(
            padded, n_fft, hop, window=self.hann, return_complex=True, pad_mode="constant"
        )
        cells = self.to_bins @ resized(masks, self.features.mels, self.frames)
        # Beyond the window, repeat the last frame's gains.
        gains = F.pad(cells, (0, spectrum.shape[-1] - self.frames), mode="replicate")
        sound = torch.istft(spectrum * gains, n_fft, hop, window=self.hann, length=padded.shape[1])
        kept = sound[:, : waveforms.shape[1]]
        return Split(kept, waveforms - kept)


def equal_gains(sounds: Tensor, original: Tensor, sample_rate: int) -> Tensor:
    """Compute the gain that makes each sound as loud as its original.

    Loudness is the RMS of the loudest 0.4 s. The gain is at most 20 dB and never clips the
    sound. Silence has the gain 1.

    Parameters
    ----------
    sounds : (batch, samples) in [-1, 1]
    original : (batch, samples) in [-1, 1]
    sample_rate : int
        In Hz.

    Returns
    -------
    Tensor
        (batch,), factors for the amplitudes.
    """
    wanted, loudness = (_loudest(one, sample_rate) for one in (original, sounds))
    peaks = sounds.abs().amax(1)
    least = torch.finfo(sounds.dtype).tiny
    gains = (wanted / loudness.clamp_min(least)).clamp_max(10 ** (MAX_GAIN_DB / 20))
    return torch.where(peaks > 0, torch.minimum(gains, 1 / peaks.clamp_min(least)), 1.0)


def resized(maps: Tensor, height: int, width: int) -> Tensor:
    """Resample maps, (batch, H, W), bilinearly to (batch, height, width)."""
    if maps.shape[1:] == (height, width):
        return maps
    return F.interpolate(maps[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]


def _loudest(sounds: Tensor, sample_rate: int) -> Tensor:
    """Return the largest RMS, (batch,), of parts that overlap by three quarters."""
    part = min(round(LOUD_PART_S * sample_rate), sounds.shape[1])
    powers = F.avg_pool1d(sounds.square()[:, None], part, max(part // 4, 1))
    return powers.amax((1, 2)).sqrt()
