"""Convert waveforms and results to plain values for a classifier on another machine, and back.

Only strings, numbers, lists, dictionaries and bytes are sent: the two machines may run different
versions of everything but this file.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.explain.results import Activations, Array
from ml.predictions import Result

# The name under which `tasks/modal_app.py` is deployed, and the class in it.
APP = "sonoscope-inference"
CLASS = "InferenceService"

Plain = dict[str, Any]


def samples_to_bytes(waveform: NDArray[np.floating]) -> bytes:
    """Encode a waveform, (samples,), losslessly as little-endian float32."""
    return waveform.astype("<f4").tobytes()


def samples_from_bytes(data: bytes) -> Array:
    return np.frombuffer(data, "<f4").astype(np.float32)


def array_to_plain(array: NDArray[np.floating]) -> Plain:
    """Encode an array in row-major order as float32."""
    return {"shape": list(array.shape), "float32": samples_to_bytes(array)}


def array_from_plain(plain: Plain) -> Array:
    return samples_from_bytes(plain["float32"]).reshape(plain["shape"])


def result_to_plain(result: Result) -> Plain:
    activations = result.activations
    return {
        "probabilities": array_to_plain(result.probabilities),
        "window_probabilities": array_to_plain(result.window_probabilities),
        "window_embeddings": array_to_plain(result.window_embeddings),
        "window_columns": array_to_plain(result.window_columns),
        "window_levels_db": array_to_plain(result.window_levels_db),
        "window_ranges_hz": array_to_plain(result.window_ranges_hz),
        "window_starts_s": list(result.window_starts_s),
        "shown_window": result.shown_window,
        "logits": array_to_plain(activations.logits),
        "pooled": array_to_plain(activations.pooled),
        "maps": {name: array_to_plain(mean) for name, mean in activations.maps.items()},
    }


def result_from_plain(plain: Plain) -> Result:
    activations = Activations(
        logits=array_from_plain(plain["logits"]),
        pooled=array_from_plain(plain["pooled"]),
        maps={name: array_from_plain(mean) for name, mean in plain["maps"].items()},
    )
    return Result(
        probabilities=array_from_plain(plain["probabilities"]),
        window_probabilities=array_from_plain(plain["window_probabilities"]),
        window_embeddings=array_from_plain(plain["window_embeddings"]),
        window_columns=array_from_plain(plain["window_columns"]).astype(np.float16),
        window_levels_db=array_from_plain(plain["window_levels_db"]).astype(np.float16),
        window_ranges_hz=array_from_plain(plain["window_ranges_hz"]),
        window_starts_s=tuple(plain["window_starts_s"]),
        shown_window=plain["shown_window"],
        activations=activations,
    )
