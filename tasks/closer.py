"""A closer look at one window: sounds and numbers in, files and figures out."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from classifier import files
from ml import render
from ml.features import LogMel
from ml.inference import Classifier, window_starts
from ml.inside import Array
from tasks.drawing import flac
from tasks.packing import pack

# Every map's number of channels is a multiple of this.
SHEET_COLUMNS = 16
# What is almost silent is not made louder than this: it would be all noise of rounding.
MOST_GAIN = 100.0
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


# --- kinds of study -----------------------------------------------------------------------


def sound(classifier: Classifier, window: Window, label: str, go_on: Callable[[], None]) -> Found:
    """What spoke for `label`, alone, and the window without it, as loud as the window is."""
    asked = classifier.info.classes.index(label)
    evidence = classifier.look([window.samples], [[asked]], go_on)[0].evidence[0]
    length, whole = len(window.samples), classifier.info.features.window_samples
    # The evidence is of a whole window; a short one is heard with silence after it.
    padded = np.pad(window.samples, (0, whole - length))
    kept, rest = (part[:length] for part in split(padded, evidence, classifier.log_mel))
    answers = classifier.answers([window.samples, kept, rest], go_on)
    original, with_kept, with_rest = (float(one.probabilities[asked]) for one in answers)
    gains = [_gain(part, window.samples) for part in (kept, rest)]
    rate = classifier.info.features.sample_rate
    figures = {
        "original": round(original, 6),
        "kept": round(with_kept, 6),
        "rest": round(with_rest, 6),
        "kept_gain": round(gains[0], 6),
        "rest_gain": round(gains[1], 6),
        "sample_rate": rate,
        "shape": list(evidence.shape),
    }
    contents = {
        files.KEPT: flac(kept * gains[0], rate),
        files.REST: flac(rest * gains[1], rate),
        files.EVIDENCE: render.picture(evidence, 0, 1).png,
    }
    return Found(figures, contents)


def channels(
    classifier: Classifier, window: Window, name: str, answer: str, go_on: Callable[[], None]
) -> Found:
    """Every channel of a map: those of a stage in order of how much they spoke for `answer`."""
    asked = classifier.info.classes.index(answer)
    found = classifier.channels(window.samples, name, asked)
    go_on()
    count, height, width = found.values.shape
    order = range(count) if found.shares is None else np.argsort(-found.shares, kind="stable")
    sheet = render.sheet([found.values[number] for number in order], SHEET_COLUMNS)
    described = []
    for number, (low, high) in zip(order, sheet.ranges, strict=True):
        facts = {"number": int(number), "low": round(low, 5), "high": round(high, 5)}
        if found.shares is not None:
            facts["share"] = round(float(found.shares[number]), 5)
        described.append(facts)
    figures = {
        "shape": [count, height, width],
        "columns": SHEET_COLUMNS,
        "ordered_by": "number" if found.shares is None else "share",
        "channels": described,
    }
    contents = {
        files.SHEET: sheet.png,
        files.CHANNELS: _npy(found.values),
        files.MEAN: _npy(found.values.mean(axis=0)),
    }
    return Found(figures, contents)


def another_window(
    classifier: Classifier, window: Window, labels: Sequence[str], go_on: Callable[[], None]
) -> Found:
    """What an analysis keeps of its shown window, of another one; evidence for `labels`."""
    asked = [classifier.info.classes.index(label) for label in labels]
    probabilities = classifier.answers([window.samples], go_on)[0].probabilities
    inside = classifier.look([window.samples], [asked], go_on)[0]
    packed = pack(inside, classifier.info.classes)
    best = classifier.predictions(probabilities)[:BEST]
    figures = {
        "predictions": [
            {"class": one.label, "confidence": round(one.confidence, 6)} for one in best
        ],
        "labels": list(labels),
        "maps": packed.maps,
        "inside": packed.facts,
    }
    return Found(figures, {files.MAPS: packed.data})


# --- the signal ---------------------------------------------------------------------------


def split(waveform: Array, evidence: Array, log_mel: LogMel) -> tuple[Array, Array]:
    """(samples,) and its evidence (H, W) in [0, 1] → what spoke, and the rest; their sum is all.

    Each cell of a Fourier spectrogram is weighted by the evidence of the mel bands that hear it.
    """
    config, bank = log_mel.config, log_mel.bank.cpu()  # (frequencies, mels)
    samples = torch.from_numpy(np.ascontiguousarray(waveform))
    hann = torch.hann_window(config.n_fft)
    stft = torch.stft(samples, config.n_fft, config.hop_samples, window=hann, return_complex=True)
    size = (config.mels, stft.shape[1])
    grid = torch.from_numpy(np.ascontiguousarray(evidence, np.float32))
    fine = F.interpolate(grid[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    # A frequency that no band hears is nobody's evidence.
    weights = bank @ fine / bank.sum(1, keepdim=True).clamp_min(torch.finfo(bank.dtype).tiny)
    kept = torch.istft(
        stft * weights, config.n_fft, config.hop_samples, window=hann, length=len(samples)
    ).numpy()
    return kept, waveform - kept


def _gain(part: Array, original: Array) -> float:
    """What makes `part` as loud (in mean power) as `original`, as far as it clips nowhere."""
    power, wanted = (float(np.sqrt(np.mean(np.square(x, dtype=float)))) for x in (part, original))
    peak = float(np.abs(part).max())
    if peak == 0:
        return 1.0
    return min(wanted / power, 1 / peak, MOST_GAIN)


def _npy(values: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()
