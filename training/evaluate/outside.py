"""Sounds that belong to none of the classes of ESC-50, to measure how many are flagged.

Everything is synthesised from a seed, so every run measures the same sounds. Speech needs the
program espeak-ng and is left out without it.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.audio.decode import read
from training.data.index import DataError

DURATION_S = 5.0
COUNT = 24
SPEECH = "speech"
SPEAKER = "espeak-ng"
SENTENCES = (
    "The train to the coast leaves at ten past nine from platform four.",
    "Please write your name and today's date at the top of the page.",
    "We walked along the river until it was too dark to see the path.",
    "Add two eggs and a spoon of sugar, then stir until the dough is smooth.",
    "The library is closed on Monday and opens again on Tuesday morning.",
    "My sister bought a green bicycle and rides it to work every day.",
)
VOICES = ("en", "en-us", "en+f3", "en-us+f4", "de", "fr")

Wave = NDArray[np.float64]
Sound = NDArray[np.float32]


def sounds(kind: str, sample_rate: int, count: int) -> list[Sound]:
    """Return sounds of one kind, the same every time.

    Parameters
    ----------
    kind : one of `kinds()`
    sample_rate : in Hz

    Returns
    -------
    list of (samples,) float32 in [-1, 1], each DURATION_S long

    Raises
    ------
    DataError
        The program for speech does not have one of VOICES.
    """
    t = np.arange(round(DURATION_S * sample_rate)) / sample_rate
    made = []
    for number in range(count):
        random = np.random.default_rng([*kind.encode(), number])
        if kind == SPEECH:
            wave = _speech(number, sample_rate, len(t))
        else:
            wave = SYNTHESISED[kind](random, t)
        peak = np.abs(wave).max()
        level = 10 ** (random.uniform(-20, -1) / 20)
        # The level of a recording of silence is that of its noise, so it is not normalised.
        made.append((wave if kind == "silence" else wave * level / peak).astype(np.float32))
    return made


def kinds() -> list[str]:
    """Return the kinds of sounds that can be made on this machine."""
    return [*SYNTHESISED, *([SPEECH] if shutil.which(SPEAKER) else [])]


# Each function takes a generator and the time of every sample (samples,) in seconds, and returns
# a wave (samples,) whose level is arbitrary.


def tone(random: np.random.Generator, t: Wave) -> Wave:
    hz = np.exp(random.uniform(np.log(100), np.log(8000)))
    return np.sin(2 * np.pi * hz * t)


def hum(random: np.random.Generator, t: Wave) -> Wave:
    """Return the hum of mains current: harmonics of 50 or 60 Hz over faint noise."""
    mains_hz = random.choice((50.0, 60.0))
    wave = 0.02 * random.standard_normal(len(t))
    for number in range(1, 13):
        level = random.uniform(0, 1) / number
        wave += level * np.sin(2 * np.pi * mains_hz * number * t + random.uniform(0, 2 * np.pi))
    return wave


def noise(random: np.random.Generator, t: Wave) -> Wave:
    """Return white, pink or brown noise: power falling with frequency by 0, 3 or 6 dB/octave."""
    spectrum = np.fft.rfft(random.standard_normal(len(t)))
    spectrum[0] = 0
    slope = random.choice((0.0, 0.5, 1.0))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** slope
    return np.fft.irfft(spectrum, len(t))


def silence(random: np.random.Generator, t: Wave) -> Wave:
    """Return digital silence, or the noise of a quiet recording at -90 to -60 dB."""
    if random.random() < 0.25:
        return np.zeros(len(t))
    return 10 ** (random.uniform(-90, -60) / 20) * random.standard_normal(len(t))


def chords(random: np.random.Generator, t: Wave) -> Wave:
    """Return four chords, each note with decaying harmonics."""
    wave = np.zeros(len(t))
    root_hz = random.uniform(110, 330)
    for start_s in np.arange(0, DURATION_S, DURATION_S / 4):
        step = random.choice((0, 2, 4, 5, 7, 9))
        third = random.choice((3, 4))
        for semitones in (0, third, 7):
            wave += _note(t - start_s, root_hz * 2 ** ((step + semitones) / 12), 0.8)
    return wave


def melody(random: np.random.Generator, t: Wave) -> Wave:
    """Return notes of a major scale, two to five a second."""
    wave = np.zeros(len(t))
    root_hz, step_s = random.uniform(200, 800), random.uniform(0.2, 0.5)
    for start_s in np.arange(0, DURATION_S, step_s):
        semitones = random.choice((0, 2, 4, 5, 7, 9, 11, 12))
        wave += _note(t - start_s, root_hz * 2 ** (semitones / 12), 0.3)
    return wave


def drums(random: np.random.Generator, t: Wave) -> Wave:
    """Return a beat of kick drum, snare and hi-hat."""
    wave = np.zeros(len(t))
    beat_s = 60 / random.uniform(80, 150)
    hiss = random.standard_normal(len(t))
    bright = np.diff(hiss, prepend=0.0)
    for number, start_s in enumerate(np.arange(0, DURATION_S, beat_s / 2)):
        since = t - start_s
        on = since >= 0
        wave += 0.3 * on * bright * np.exp(-np.maximum(since, 0) / 0.03)
        if number % 4 == 0:
            pitch = 50 * since + 6 * (1 - np.exp(-np.maximum(since, 0) / 0.04))
            wave += on * np.sin(2 * np.pi * pitch) * np.exp(-np.maximum(since, 0) / 0.15)
        if number % 4 == 2:
            wave += 0.6 * on * hiss * np.exp(-np.maximum(since, 0) / 0.1)
    return wave


def _note(since: Wave, hz: float, decay_s: float) -> Wave:
    """Return a note with six harmonics that starts where `since` (samples,) in seconds is 0."""
    sound = sum(np.sin(2 * np.pi * hz * n * since) / n**1.5 for n in range(1, 7))
    attack = np.clip(since / 0.01, 0, 1)
    return attack * sound * np.exp(-np.maximum(since, 0) / decay_s)


SYNTHESISED: dict[str, Callable[[np.random.Generator, Wave], Wave]] = {
    "tone": tone,
    "hum": hum,
    "noise": noise,
    "silence": silence,
    "chords": chords,
    "melody": melody,
    "drums": drums,
}


def _speech(number: int, sample_rate: int, samples: int) -> Wave:
    """Return a spoken sentence, padded with silence or cut to `samples`.

    Raises DataError if the program cannot speak it.
    """
    sentence = SENTENCES[number % len(SENTENCES)]
    voice = VOICES[(number + number // len(VOICES)) % len(VOICES)]
    words_per_minute = 140 + 10 * (number % 5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = [SPEAKER, "-v", voice, "-s", str(words_per_minute), "-w", str(path), sentence]
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - its own constants
        if done.returncode:
            raise DataError(f"{SPEAKER} cannot speak with the voice {voice}: {done.stderr.strip()}")
        wave = read(path, sample_rate).waveform[:samples]
    return np.pad(wave.astype(np.float64), (0, samples - len(wave)))
