"""Encode samples as a file that browsers play."""

import io
from typing import IO

import numpy as np
import soundfile

from ml.audio.waveform import Waveform, parts_of


def flac(waveform: Waveform, sample_rate: int) -> bytes:
    """Encode a short waveform as `write_flac` does."""
    buffer = io.BytesIO()
    write_flac(buffer, waveform, sample_rate)
    return buffer.getvalue()


def write_flac(file: IO[bytes], waveform: Waveform, sample_rate: int) -> None:
    """Write a waveform to an open file as 16-bit mono FLAC.

    Parameters
    ----------
    waveform : (samples,) float32
        Values outside [-1, 1] are clipped.
    sample_rate : int
        In Hz.
    """
    with soundfile.SoundFile(file, "w", sample_rate, 1, "PCM_16", format="FLAC") as encoder:
        for samples in parts_of(waveform):
            encoder.write(np.clip(samples, -1, 1))
