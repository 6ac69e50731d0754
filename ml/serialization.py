"""What crosses to a checkpoint on another machine, and back: names and plain values.

Strings, numbers, lists, dictionaries and bytes: the two sides may run different versions of
everything but this file.
"""

from typing import Any

import numpy as np

from ml.explain.results import Activations, Array, Channel, FeatureMap
from ml.inference import Result

# What `tasks/modal_app.py` is deployed as, and the class in it.
APP = "sonoscope-inference"
CLASS = "InferenceService"

Plain = dict[str, Any]


def samples_to_bytes(waveform: Array) -> bytes:
    """(samples,) as little-endian float32: the other side shall hear exactly the same."""
    return waveform.astype("<f4").tobytes()


def samples_from_bytes(data: bytes) -> Array:
    return np.frombuffer(data, "<f4").astype(np.float32)


def array_to_plain(array: Array) -> Plain:
    """Row by row."""
    return {"shape": list(array.shape), "float32": samples_to_bytes(array)}


def array_from_plain(plain: Plain) -> Array:
    return samples_from_bytes(plain["float32"]).reshape(plain["shape"])


def picture_to_plain(array: Array) -> Plain:
    """Row by row, in half the bytes: more than enough for a picture of 256 colours."""
    return {"shape": list(array.shape), "float16": array.astype("<f2").tobytes()}


def picture_from_plain(plain: Plain) -> Array:
    values = np.frombuffer(plain["float16"], "<f2").astype(np.float32)
    return values.reshape(plain["shape"])


def result_to_plain(result: Result) -> Plain:
    activations = result.activations
    return {
        "probabilities": array_to_plain(result.probabilities),
        "window_probabilities": array_to_plain(result.window_probabilities),
        "window_starts_s": list(result.window_starts_s),
        "shown_window": result.shown_window,
        "logits": array_to_plain(activations.logits),
        "pooled": array_to_plain(activations.pooled),
        "maps": [
            {"name": name, "mean": array_to_plain(one.mean), "channels": one.channels}
            for name, one in activations.maps.items()
        ],
        "strongest": {
            stage: [
                {
                    "number": one.number,
                    "values": picture_to_plain(one.values),
                    "contribution": one.contribution,
                }
                for one in channels
            ]
            for stage, channels in activations.strongest.items()
        },
        "classes": list(activations.classes),
        "attribution": picture_to_plain(activations.attribution),
    }


def result_from_plain(plain: Plain) -> Result:
    return Result(
        probabilities=array_from_plain(plain["probabilities"]),
        window_probabilities=array_from_plain(plain["window_probabilities"]),
        window_starts_s=tuple(plain["window_starts_s"]),
        shown_window=plain["shown_window"],
        activations=_activations_from_plain(plain),
    )


def _activations_from_plain(plain: Plain) -> Activations:
    return Activations(
        logits=array_from_plain(plain["logits"]),
        pooled=array_from_plain(plain["pooled"]),
        maps={
            one["name"]: FeatureMap(array_from_plain(one["mean"]), one["channels"])
            for one in plain["maps"]
        },
        strongest={
            stage: tuple(
                Channel(one["number"], picture_from_plain(one["values"]), one["contribution"])
                for one in channels
            )
            for stage, channels in plain["strongest"].items()
        },
        classes=tuple(plain["classes"]),
        attribution=picture_from_plain(plain["attribution"]),
    )
