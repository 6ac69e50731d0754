"""Samples → bytes of a file that browsers play."""

import io

import numpy as np
import soundfile
from numpy.typing import NDArray


def flac(waveform: NDArray[np.float32], sample_rate: int) -> bytes:
    """16 bits, mono; what is beyond [-1, 1] is held at the ends."""
    buffer = io.BytesIO()
    held = np.clip(waveform, -1, 1)
    soundfile.write(buffer, held, sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()
