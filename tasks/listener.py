"""One classifier per process, and what a worker makes of a heard clip: plain values and files."""

import io
import json
import zipfile
from functools import lru_cache
from typing import Any

import numpy as np
import soundfile

from classifier import files
from ml import checkpoint, render
from ml.audio import Sound
from ml.inference import Array, Classifier, Result

# Below the loudest cell by this much, the picture is black.
PICTURE_RANGE_DB = 80.0
# A longer clip's picture averages neighbouring frames: no screen is wider.
WIDEST_PICTURE = 2048
STRIP_HEIGHT, STRIP_WIDTH = 32, 160
PEAK_COLUMNS = 1000
# What some current browser cannot play gets a FLAC to listen to.
UNPLAYABLE = {"AIFF", "WMA", "AMR"}
FREQUENCY_TICKS_HZ = (100, 250, 500, 1000, 2000, 4000, 8000, 16000)


@lru_cache(maxsize=1)
def classifier() -> Classifier:
    """Loaded at the first chunk, once per process."""
    return Classifier.load(checkpoint.default_path())


def contents(
    sound: Sound, result: Result, spectrogram: Array
) -> tuple[dict[str, bytes], dict[str, Any], dict[str, Any]]:
    """The files of an analysis, then the values `scope` and `maps` that describe them."""
    high = float(spectrogram.max())
    low = high - PICTURE_RANGE_DB
    wide = render.shrink(spectrogram, len(spectrogram), WIDEST_PICTURE)
    strip = render.shrink(spectrogram, STRIP_HEIGHT, STRIP_WIDTH)
    pack, maps = _pack(result)
    made = {
        files.SPECTROGRAM: render.picture(wide, low, high).png,
        files.STRIP: render.picture(strip, low, high).png,
        files.MAPS: pack,
        files.PEAKS: json.dumps(render.peaks(sound.waveform, PEAK_COLUMNS)).encode(),
    }
    if sound.format in UNPLAYABLE:
        made[files.PLAYABLE] = _flac(sound)
    scope = {
        "low_db": round(low, 2),
        "high_db": round(high, 2),
        "mels": spectrogram.shape[0],
        "frames": spectrogram.shape[1],
        "shown_columns": wide.shape[1],
    }
    return made, scope, maps


def windows(result: Result, window_s: float) -> dict[str, Any]:
    """Where the windows of a clip lie, and which one the maps show."""
    return {
        "window_s": window_s,
        "windows": len(result.window_starts_s),
        "shown_from_s": round(result.window_starts_s[result.shown_window], 3),
    }


def frequency_ticks(listener: Classifier) -> list[dict[str, float]]:
    """Where round frequencies lie on the mel axis: `place` 0 is its bottom, 1 its top."""
    centres = listener.log_mel.band_centres_hz()
    places = (np.arange(len(centres)) + 0.5) / len(centres)
    return [
        {"hz": hz, "place": round(float(np.interp(hz, centres, places)), 4)}
        for hz in FREQUENCY_TICKS_HZ
        if centres[0] < hz <= listener.info.features.f_max_hz
    ]


def _pack(result: Result) -> tuple[bytes, dict[str, Any]]:
    buffer, described = io.BytesIO(), {}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as pack:
        for name, feature_map in result.maps.items():
            drawn = render.picture(feature_map.mean)
            pack.writestr(f"{name}.png", drawn.png)
            described[name] = {
                "shape": list(feature_map.mean.shape),
                "channels": feature_map.channels,
                "low": round(drawn.low, 5),
                "high": round(drawn.high, 5),
            }
        pack.writestr("index.json", json.dumps(described))
    return buffer.getvalue(), described


def _flac(sound: Sound) -> bytes:
    buffer = io.BytesIO()
    held = np.clip(sound.waveform, -1, 1)
    soundfile.write(buffer, held, sound.sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()
