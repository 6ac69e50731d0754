"""An inspection at one window: sounds and numbers in, files and figures out."""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from classifier import storage
from ml import map_archive
from ml.audio.encode import flac
from ml.explain.masking import Masking, audible, equal_gains
from ml.explain.results import Array
from ml.features import LogMel
from ml.inference import Classifier, window_starts
from ml.rendering import png

# Every map's number of channels is a multiple of this.
SHEET_COLUMNS = 16
BEST = 5


@dataclass(frozen=True, slots=True)
class Window:
    """samples: (n,) float32, at most a window long · start_s: where it begins in its clip."""

    samples: Array
    start_s: float


@dataclass(frozen=True, slots=True)
class Found:
    """figures: plain values · contents: the files by name."""

    figures: dict[str, Any]
    contents: dict[str, bytes]


def cut(classifier: Classifier, waveform: Array, number: int) -> Window:
    """Window `number` of a clip, as the classifier cuts it."""
    features = classifier.info.features
    starts = window_starts(len(waveform), features.window_samples, features.hop_samples)
    start = starts[number]
    samples = waveform[start : start + features.window_samples]
    return Window(samples, start / features.sample_rate)


# --- kinds of inspection -----------------------------------------------------------------------


def sound(classifier: Classifier, window: Window, label: str) -> Found:
    """What spoke for `label`, alone, and the window without it, as loud as the window is."""
    asked = classifier.info.classes.index(label)
    attribution = classifier.explain([window.samples], [[asked]])[0].attribution[0]
    original = torch.from_numpy(window.samples)[None]
    masks = audible(torch.from_numpy(attribution)[None])
    # Here, not on the device that the network is on: it is hardly any work.
    parts = Masking(LogMel(classifier.info.features)).split(original, masks)
    sounds = torch.cat([parts.kept, parts.rest])
    rate = classifier.info.features.sample_rate
    gains = equal_gains(sounds, original.expand_as(sounds), rate)
    answers = classifier.predict([window.samples, *sounds.numpy()])
    of_all, of_kept, of_rest = (round(float(one.probabilities[asked]), 6) for one in answers)
    figures = {
        "original": of_all,
        "kept": of_kept,
        "rest": of_rest,
        "kept_gain": round(gains[0].item(), 6),
        "rest_gain": round(gains[1].item(), 6),
        "sample_rate": rate,
        "shape": list(attribution.shape),
    }
    kept, rest = (sounds * gains[:, None]).numpy()
    contents = {
        storage.KEPT: flac(kept, rate),
        storage.REST: flac(rest, rate),
        storage.ATTRIBUTION: png.overlay(attribution),
    }
    return Found(figures, contents)


def channels(classifier: Classifier, window: Window, name: str, answer: str) -> Found:
    """Every channel of a map: those of a stage in order of how much they spoke for `answer`."""
    asked = classifier.info.classes.index(answer)
    found = classifier.channels(window.samples, name, asked)
    contributions, order = found.contributions, np.arange(len(found.values))
    if contributions is not None:
        order = np.argsort(-contributions, kind="stable")
    sheet = png.sheet(list(found.values[order]), SHEET_COLUMNS)
    described = []
    for number, (low, high) in zip(order, sheet.ranges, strict=True):
        facts = {"number": int(number), "low": round(low, 5), "high": round(high, 5)}
        if contributions is not None:
            facts["contribution"] = round(float(contributions[number]), 5)
        described.append(facts)
    figures = {
        "shape": list(found.values.shape),
        "columns": SHEET_COLUMNS,
        "ordered_by": "number" if contributions is None else "contribution",
        "channels": described,
    }
    contents = {
        storage.SHEET: sheet.png,
        storage.CHANNELS: _npy(found.values),
        storage.MEAN: _npy(found.values.mean(axis=0)),
    }
    return Found(figures, contents)


def another_window(classifier: Classifier, window: Window, labels: Sequence[str]) -> Found:
    """What an analysis keeps of its shown window, of another one; attribution for `labels`."""
    asked = [classifier.info.classes.index(label) for label in labels]
    probabilities = classifier.predict([window.samples])[0].probabilities
    activations = classifier.explain([window.samples], [asked])[0]
    archive = map_archive.pack(activations, classifier.info.classes)
    best = classifier.predictions(probabilities)[:BEST]
    figures = {"predictions": [one.to_json() for one in best], **asdict(archive.index)}
    return Found(figures, {storage.MAPS: archive.data})


def _npy(values: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()
