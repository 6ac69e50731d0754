"""Waveform → log-mel spectrogram, by the numbers a checkpoint carries."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks
from torchaudio.transforms import Spectrogram

# Power below this counts as silence: -100 dB. A fixed floor, and no `top_db`, so that
# a clip's features never depend on the other clips of its chunk.
POWER_FLOOR = 1e-10


@dataclass(frozen=True, slots=True)
class FeatureConfig:
    """Everything that decides what the network is shown.

    `mel_scale` is "slaney" or "htk". Slaney is the default because at 32 kHz / 1024 each of
    its lowest bands holds about two FFT bins; with htk they hold a sliver of one.
    """

    sample_rate: int = 32_000
    window_s: float = 5.0
    n_fft: int = 1024
    hop_samples: int = 512
    mels: int = 128
    f_min_hz: float = 20.0
    f_max_hz: float = 16_000.0
    mel_scale: str = "slaney"
    mean_db: float = 0.0
    deviation_db: float = 1.0

    @property
    def window_samples(self) -> int:
        return round(self.window_s * self.sample_rate)

    @property
    def silence(self) -> float:
        """What the network is shown where there is no sound."""
        return (10.0 * math.log10(POWER_FLOOR) - self.mean_db) / self.deviation_db


class LogMel(nn.Module):
    """waveform (batch, samples) float32 → (batch, 1, mels, frames)."""

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
        """Log-mel power in dB, low frequencies first; silence is -100 dB."""
        mel = torch.matmul(self.power(waveform).transpose(-1, -2), self.bank).transpose(-1, -2)
        return 10.0 * torch.log10(mel.clamp_min(POWER_FLOOR)).unsqueeze(1)

    def band_centres_hz(self) -> list[float]:
        """The frequency at which each mel band listens most, lowest first."""
        bins_hz = torch.linspace(0, self.config.sample_rate / 2, self.bank.shape[0])
        bank = self.bank.cpu()
        return ((bank * bins_hz[:, None]).sum(0) / bank.sum(0)).tolist()

    def normalise(self, decibels: Tensor) -> Tensor:
        return (decibels - self.config.mean_db) / self.config.deviation_db

    def forward(self, waveform: Tensor) -> Tensor:
        return self.normalise(self.decibels(waveform))
