"""The teacher: an audio tagger of the EfficientAT family, from samples to what it knows of them."""

import hashlib
import re
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchaudio.compliance.kaldi import get_mel_banks
from torchaudio.functional import resample

from training.config import SettingError
from training.distil.network import GraphNetwork
from training.distil.onnx_file import read_graph

RATE_HZ = 32_000
N_FFT, WINDOW, HOP, MELS, F_MAX_HZ = 1024, 800, 320, 128, 15_000.0


class TeacherMel(nn.Module):
    """The log-mel spectrogram that EfficientAT's networks were trained on.

    Parameters
    ----------
    sample_rate : of the waveforms, in Hz; other rates than 32 kHz are resampled
    """

    window: Tensor
    bank: Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        # Kaldi's bank with a low frequency of 0 Hz and no warping (a factor of 1).
        bank, _ = get_mel_banks(MELS, N_FFT, RATE_HZ, 0.0, F_MAX_HZ, 100.0, -500.0, 1.0)
        window = torch.hann_window(WINDOW, periodic=False)
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("bank", F.pad(bank, (0, 1)), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the spectrogram (batch, 1, 128, frames) of a waveform (batch, samples)."""
        if self.sample_rate != RATE_HZ:
            waveform = resample(waveform, self.sample_rate, RATE_HZ)
        emphasised = waveform[:, 1:] - 0.97 * waveform[:, :-1]
        spectrum = torch.stft(
            emphasised, N_FFT, HOP, WINDOW, self.window, center=True, return_complex=True
        )
        power = torch.view_as_real(spectrum).square().sum(-1)
        return ((torch.matmul(self.bank, power) + 1e-5).log() + 4.5)[:, None] / 5


class Teacher(nn.Module):
    """Compute the features and logits of a pretrained network for waveforms.

    Attributes
    ----------
    size : number of features and logits together
    """

    def __init__(self, path: Path, sample_rate: int) -> None:
        super().__init__()
        self.mel = TeacherMel(sample_rate)
        self.network = GraphNetwork(read_graph(path), ("features", "logits"))
        self.size = self._size()

    @torch.no_grad()
    def _size(self) -> int:
        """Run the network once, to find an unusable graph before anything else is done."""
        try:
            return self(torch.zeros(1, self.mel.sample_rate)).shape[1]
        except SettingError:
            raise
        except (RuntimeError, TypeError, LookupError, AttributeError, ValueError) as error:
            raise SettingError(
                f"The teacher does not run on a spectrogram (1, 1, {MELS}, frames): {error}"
            ) from error

    def forward(self, waveform: Tensor) -> Tensor:
        """Return features and logits, (batch, size), of a waveform (batch, samples).

        In fp32 even under autocast: the network is small, so bf16 would save little time.
        """
        with torch.autocast(waveform.device.type, enabled=False):
            return torch.cat(self.network(self.mel(waveform.float())), 1)


def teacher_name(path: Path) -> str:
    """Return the teacher's name for the checkpoint: EfficientAT's if the file is named so."""
    if re.fullmatch(r"mn\d\d_as", path.stem):
        return f"EfficientAT {path.stem} (AudioSet, MIT)"
    return path.stem


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex.

    Raises
    ------
    SettingError
        There is no such file.
    """
    if not path.is_file():
        raise SettingError(f"There is no file {path}.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
