"""Log-mel spectrograms of waveforms, with the parameters that the checkpoint carries."""

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks
from torchaudio.transforms import Spectrogram

from ml.checkpoint_info import POWER_FLOOR, FeatureConfig


class LogMel(nn.Module):
    """Compute normalised log-mel spectrograms: (batch, samples) to (batch, 1, mels, frames).

    Attributes
    ----------
    bank : (n_fft // 2 + 1, mels) float32
        The mel filter bank.
    """

    bank: Tensor

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        self.config = config
        self.power = Spectrogram(config.n_fft, hop_length=config.hop_samples, power=2.0)
        bank = melscale_fbanks(
            config.n_fft // 2 + 1,
            config.f_min_hz,
            config.f_max_hz,
            config.mels,
            config.sample_rate,
            mel_scale=config.mel_scale,
        )
        self.register_buffer("bank", bank, persistent=False)

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
        mel = torch.matmul(self.power(waveform).transpose(-1, -2), self.bank).transpose(-1, -2)
        return 10.0 * torch.log10(mel.clamp_min(POWER_FLOOR)).unsqueeze(1)

    def band_centres_hz(self) -> list[float]:
        """Return the power-weighted mean frequency of each mel band in Hz, lowest first."""
        bins_hz = torch.linspace(0, self.config.sample_rate / 2, self.bank.shape[0])
        bank = self.bank.cpu()
        return ((bank * bins_hz[:, None]).sum(0) / bank.sum(0)).tolist()

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
