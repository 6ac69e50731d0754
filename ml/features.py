"""Log-mel spectrograms of waveforms, with the parameters that the checkpoint carries."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from ml.checkpoint_info import POWER_FLOOR, FeatureConfig


class LogMel(nn.Module):
    """Compute normalised log-mel spectrograms: (batch, samples) to (batch, 1, mels, frames).

    Attributes
    ----------
    bank : (n_fft // 2 + 1, mels) float32
        The mel filter bank.
    hann : (n_fft,) float32
        The window of a frame.
    """

    bank: Tensor
    hann: Tensor

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("hann", torch.hann_window(config.n_fft), persistent=False)
        bank = melscale_fbanks(
            config.n_fft // 2 + 1,
            config.f_min_hz,
            config.f_max_hz,
            config.mels,
            config.sample_rate,
            mel_scale=config.mel_scale,
        )
        self.register_buffer("bank", bank, persistent=False)
        bins_hz = torch.linspace(0, config.sample_rate / 2, len(bank))
        self._centres_hz = ((bank * bins_hz[:, None]).sum(0) / bank.sum(0)).tolist()

    def decibels(self, waveform: Tensor) -> Tensor:
        """Return the log-mel power in dB.

        Parameters
        ----------
        waveform : (batch, samples) float32 at config.sample_rate Hz

        Returns
        -------
        Tensor
            (batch, 1, mels, frames); row 0 is the lowest frequency. Silence is -100 dB.
        """
        if waveform.device.type == "cpu":
            # One sound at a time, because its spectrum fits into the cache: twice as fast.
            return torch.stack([self._decibels(one) for one in waveform]).unsqueeze(1)
        return self._decibels(waveform).unsqueeze(1)

    def _decibels(self, waveform: Tensor) -> Tensor:
        """(..., samples) to (..., mels, frames)."""
        config, edge = self.config, self.config.n_fft // 2
        # Reflected at both ends, so that the first frame is centred on the first sample. Faster
        # than the padding of `stft`.
        start, end = waveform[..., 1 : edge + 1], waveform[..., -edge - 1 : -1]
        padded = torch.cat([start.flip(-1), waveform, end.flip(-1)], dim=-1)
        spectrum = torch.stft(
            padded,
            config.n_fft,
            config.hop_samples,
            window=self.hann,
            center=False,
            return_complex=True,
        )
        # Faster than the square of the absolute value, which takes a root first.
        power = spectrum.real.square() + spectrum.imag.square()
        return 10.0 * torch.log10(torch.matmul(self.bank.T, power).clamp_min(POWER_FLOOR))

    def band_centres_hz(self) -> Sequence[float]:
        """Return the power-weighted mean frequency of each mel band in Hz, lowest first."""
        return self._centres_hz

    def normalise(self, decibels: Tensor) -> Tensor:
        return (decibels - self.config.mean_db) / self.config.deviation_db

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the normalised log-mel spectrogram.

        Parameters
        ----------
        waveform : (batch, samples) float32 at config.sample_rate Hz

        Returns
        -------
        Tensor
            (batch, 1, mels, frames); row 0 is the lowest frequency.
        """
        return self.normalise(self.decibels(waveform))
