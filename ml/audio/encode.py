"""Encode samples as a file that browsers play."""

import io

import numpy as np
import soundfile
from numpy.typing import NDArray


def flac(waveform: NDArray[np.float32], sample_rate: int) -> bytes:
    """Encode a waveform as 16-bit mono FLAC.

    Parameters
    ----------
    waveform : (samples,) float32
        Values outside [-1, 1] are clipped.
    sample_rate : int
        In Hz.
    """
    buffer = io.BytesIO()
    clipped = np.clip(waveform, -1, 1)
    soundfile.write(buffer, clipped, sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()
