"""The request and response format of the Audio CNN Visualizer, which its clients still use.

Shared by the web process, which must stay light, and the endpoint on Modal. Imports neither torch
nor Django.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import AudioError, Problem

TOP = 3
NOT_BASE64 = Problem(
    "not_base64",
    "`audio_data` is not valid base64.",
    "Encode the file's bytes as base64, without a `data:` prefix.",
)
MAP_DIGITS = 5
DECIBEL_DIGITS = 2
# The original always sends this value. The waveform is an outline without a sample rate.
SAMPLE_RATE_HZ = 44_100


def sound_of(audio_data: object) -> bytes:
    """Decode the base64 of a request into the bytes of the file.

    Raises
    ------
    AudioError
        `not_base64`, if `audio_data` is not base64 text.
    """
    try:
        if not isinstance(audio_data, str):
            raise ValueError("not a string")
        return base64.b64decode("".join(audio_data.split()), validate=True)
    except ValueError as error:
        raise AudioError(NOT_BASE64) from error


def answer(
    predictions: Sequence[Mapping[str, Any]],
    maps: Mapping[str, NDArray[np.floating]],
    decibels: NDArray[np.floating],
    outline: Sequence[float],
    duration_s: float | None,
) -> dict[str, Any]:
    """Build the response to a request.

    Parameters
    ----------
    predictions : sequence of {"class", "confidence"}
        The best first.
    maps : dict of str to (H, W)
    decibels : (mels, frames)
    outline : sequence of float
        The lowest and highest sample of equal parts of the waveform, in turn.
    duration_s : float or None
        Of the clip, in seconds.
    """
    waveform = {"values": list(outline), "sample_rate": SAMPLE_RATE_HZ, "duration": duration_s}
    return {
        "predictions": [dict(prediction) for prediction in predictions[:TOP]],
        "visualization": {name: _grid(values, MAP_DIGITS) for name, values in maps.items()},
        "input_spectrogram": _grid(decibels, DECIBEL_DIGITS),
        "waveform": waveform,
    }


def _grid(values: NDArray[np.floating], digits: int) -> dict[str, Any]:
    rounded = np.round(values.astype(np.float64), digits)
    return {"shape": list(values.shape), "values": rounded.tolist()}
