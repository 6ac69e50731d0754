"""What is kept of a heard clip: pictures and plain values."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile

from classifier import storage
from ml.audio.decode import Sound
from ml.explain.activations import Array
from ml.inference import BaseClassifier, Result
from ml.rendering import png
from tasks.map_archive import pack

# A longer clip's picture averages neighbouring frames: no screen is wider.
MAX_PICTURE_COLUMNS = 2048
STRIP_HEIGHT, STRIP_WIDTH = 32, 160
PEAK_COLUMNS = 1000
# What some current browser cannot play gets a FLAC to listen to.
UNPLAYABLE = {"AIFF", "WMA", "AMR"}
FREQUENCY_TICKS_HZ = (100, 250, 500, 1000, 2000, 4000, 8000, 16000)


@dataclass(frozen=True, slots=True)
class Rendering:
    """`contents` are the files by name; `render_metadata` and `maps` describe what is on them."""

    contents: dict[str, bytes]
    render_metadata: dict[str, Any]
    maps: list[dict[str, Any]]


def render(classifier: BaseClassifier, sound: Sound, result: Result) -> Rendering:
    features = classifier.info.features
    spectrogram = classifier.spectrogram(sound.waveform)
    high = float(spectrogram.max())
    low = high - png.PICTURE_RANGE_DB
    wide = png.shrink(spectrogram, len(spectrogram), MAX_PICTURE_COLUMNS)
    strip = png.shrink(spectrogram, STRIP_HEIGHT, STRIP_WIDTH)
    names = classifier.info.classes
    activations = pack(result.activations, names)
    contents = {
        storage.SPECTROGRAM: png.picture(wide, low, high).png,
        storage.STRIP: png.picture(strip, low, high).png,
        storage.MAPS: activations.data,
        storage.PEAKS: _compact(png.peaks(sound.waveform, PEAK_COLUMNS)),
    }
    if sound.format in UNPLAYABLE:
        contents[storage.PLAYABLE] = flac(sound.waveform, sound.sample_rate)
    render_metadata = {
        "low_db": round(low, 2),
        "high_db": round(high, 2),
        "mels": spectrogram.shape[0],
        "frames": spectrogram.shape[1],
        "shown_columns": wide.shape[1],
        "ticks": _frequency_ticks(classifier),
        "f_min_hz": features.f_min_hz,
        "f_max_hz": features.f_max_hz,
        "mel_scale": features.mel_scale,
        "window_s": features.window_s,
        "window_count": len(result.window_starts_s),
        "shown_window": result.shown_window,
        "shown_from_s": round(result.window_starts_s[result.shown_window], 3),
        "window_predictions": _window_predictions(result, names),
        "activations": activations.facts,
    }
    return Rendering(contents, render_metadata, activations.maps)


def _window_predictions(result: Result, names: Sequence[str]) -> list[dict[str, Any]]:
    """Each window's answer, where there are several."""
    if len(result.window_starts_s) == 1:
        return []
    return [
        {
            "start_s": round(start_s, 3),
            "label": names[row.argmax()],
            "confidence": round(float(row.max()), 4),
        }
        for start_s, row in zip(result.window_starts_s, result.window_probabilities, strict=True)
    ]


def _frequency_ticks(classifier: BaseClassifier) -> list[dict[str, float]]:
    """Where round frequencies lie on the mel axis: `place` 0 is its bottom, 1 its top."""
    centres = classifier.log_mel.band_centres_hz()
    places = (np.arange(len(centres)) + 0.5) / len(centres)
    return [
        {"hz": hz, "place": round(float(np.interp(hz, centres, places)), 4)}
        for hz in FREQUENCY_TICKS_HZ
        if centres[0] < hz <= classifier.info.features.f_max_hz
    ]


def _compact(values: list[float]) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode()


def flac(waveform: Array, sample_rate: int) -> bytes:
    """16 bits, mono; what is beyond [-1, 1] is held at the ends."""
    buffer = io.BytesIO()
    held = np.clip(waveform, -1, 1)
    soundfile.write(buffer, held, sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()
