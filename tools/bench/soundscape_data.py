"""Soundscapes for tools.bench.soundscapes: recordings of clips at known times over noise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ml.audio.decode import read
from ml.explain.results import Array
from training.data.index import Example

SEED = 18
RECORDINGS = 10  # in each half
LENGTH_S = 600
SOUNDS = 40  # in each recording
# How much louder a sound is than the noise, in dB, from the quietest to the loudest.
RATIO_DB = (6.0, 30.0)
NOISE_RMS = 0.003
# Sounds of one label lie so far apart that they are two events.
APART_S = 3.0
MARGIN_S = 1.0
# A clip is trimmed to the blocks that are at most this far below its loudest one.
TRIM_DB = 40.0
BLOCK_S = 0.02
SHORTEST_S = 0.1

# Start and end in seconds, and label.
Span = tuple[float, float, str]


@dataclass(frozen=True, slots=True)
class Soundscape:
    """A recording, and the sounds in it."""

    name: str
    waveform: Array
    truth: list[Span]


def halves(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Divide clips into two halves with as many clips of each class, but no source in common."""
    generator = np.random.default_rng(SEED)
    parts: tuple[list[Example], list[Example]] = ([], [])
    for label in sorted({one.label for one in examples}):
        mine = [one for one in examples if one.label == label]
        sources = sorted({one.source for one in mine})
        generator.shuffle(sources)
        # The largest sources first, each to the half that has fewer clips.
        sources.sort(key=lambda source: -sum(one.source == source for one in mine))
        counts = [0, 0]
        for source in sources:
            half = int(counts[1] < counts[0])
            of_source = [one for one in mine if one.source == source]
            parts[half].extend(of_source)
            counts[half] += len(of_source)
    return parts


def soundscapes(half: int, examples: Sequence[Example], rate_hz: int) -> Iterator[Soundscape]:
    """Yield RECORDINGS soundscapes of clips, each of which is used about equally often."""
    generator = np.random.default_rng((SEED, half))
    order: list[Example] = []
    while len(order) < RECORDINGS * SOUNDS:
        order += [examples[number] for number in generator.permutation(len(examples))]
    for number in range(RECORDINGS):
        chosen = order[number * SOUNDS : (number + 1) * SOUNDS]
        yield _soundscape(f"{half}-{number}", chosen, rate_hz, generator)


def _soundscape(
    name: str, examples: Sequence[Example], rate_hz: int, generator: np.random.Generator
) -> Soundscape:
    waveform = noise(LENGTH_S * rate_hz, generator)
    truth: list[Span] = []
    for example in examples:
        sound = trimmed(read(example.path, rate_hz).waveform, rate_hz)
        length_s = len(sound) / rate_hz
        start_s = _free_place(example.label, length_s, truth, generator)
        ratio = 10 ** (generator.uniform(*RATIO_DB) / 20)
        level = NOISE_RMS * ratio / np.sqrt(np.mean(np.square(sound)))
        first = round(start_s * rate_hz)
        waveform[first : first + len(sound)] += sound * level
        truth.append((start_s, start_s + length_s, example.label))
    np.clip(waveform, -1, 1, out=waveform)
    return Soundscape(name, waveform, sorted(truth))


def _free_place(
    label: str,
    length_s: float,
    truth: Sequence[Span],
    generator: np.random.Generator,
) -> float:
    """Return a start where no sound of the same label is near; others may overlap."""
    while True:
        start_s = round(generator.uniform(MARGIN_S, LENGTH_S - MARGIN_S - length_s), 3)
        if all(
            other != label or start_s > end + APART_S or start_s + length_s + APART_S < start
            for start, end, other in truth
        ):
            return start_s


def trimmed(waveform: Array, rate_hz: int) -> Array:
    """Cut off what is quiet before and after the sound of a clip."""
    block = round(BLOCK_S * rate_hz)
    whole = len(waveform) // block * block
    power = np.square(waveform[:whole]).reshape(-1, block).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-TRIM_DB / 10))
    first, end = loud[0] * block, (loud[-1] + 1) * block
    return waveform[first : max(end, first + round(SHORTEST_S * rate_hz))]


def noise(samples: int, generator: np.random.Generator) -> Array:
    """Return pink noise, (samples,), at NOISE_RMS."""
    spectrum = np.fft.rfft(generator.standard_normal(samples).astype(np.float32))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    found = np.fft.irfft(spectrum, samples).astype(np.float32)
    return found * np.float32(NOISE_RMS / np.sqrt(np.mean(np.square(found))))
