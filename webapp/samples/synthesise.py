"""Synthesise three of the sample sounds; no recording, so no licence, is needed.

`crow.flac` is a recording (docs/licences.md).

`python webapp/samples/synthesise.py` writes them beside this file. They were chosen because
the shipped checkpoint classifies them correctly, with a convincing explanation; a test checks that.
"""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE_HZ = 32_000
DURATION_S = 5.0
SAMPLES = round(RATE_HZ * DURATION_S)
Wave = NDArray[np.float64]


def church_bells(random: np.random.Generator) -> Wave:
    """Return five strokes on three bells; each partial decays at its own rate.

    Returns
    -------
    wave : (SAMPLES,) float64 at RATE_HZ, not normalised
    """
    wave = 0.002 * random.standard_normal(SAMPLES)
    # (ratio to the strike note, level, seconds until it has fallen to 1/e)
    partials = (
        (0.5, 0.6, 3.0), (1.0, 1.0, 2.0), (1.19, 0.7, 1.6), (1.5, 0.5, 1.2), (2.0, 0.8, 1.0),
        (2.51, 0.4, 0.7), (3.01, 0.3, 0.5), (4.1, 0.25, 0.35), (5.4, 0.15, 0.25),
    )  # fmt: skip
    for start_s, strike_hz in ((0.0, 440), (0.9, 370), (1.8, 330), (2.7, 440), (3.6, 370)):
        first = round(start_s * RATE_HZ)
        t = np.arange(SAMPLES - first) / RATE_HZ
        for ratio, level, decay_s in partials:
            phase = random.uniform(0, 2 * np.pi)
            ring = np.sin(2 * np.pi * strike_hz * ratio * t + phase)
            wave[first:] += level * np.exp(-t / decay_s) * ring
    return wave


def door_wood_knock(random: np.random.Generator) -> Wave:
    """Return three times three knocks: a short click and the panel's damped modes.

    Returns
    -------
    wave : (SAMPLES,) float64 at RATE_HZ, not normalised
    """
    wave = 0.0005 * random.standard_normal(SAMPLES)
    length = round(0.12 * RATE_HZ)
    t = np.arange(length) / RATE_HZ
    modes = sum(
        level * np.sin(2 * np.pi * hz * t) for hz, level in ((160, 1), (310, 0.7), (620, 0.4))
    )
    for start_s in (0.3, 0.5, 0.7, 2.2, 2.4, 2.6, 4.0, 4.2, 4.4):
        first = round(start_s * RATE_HZ)
        click = 0.5 * np.exp(-t / 0.002) * random.standard_normal(length)
        wave[first : first + length] += np.exp(-t / 0.018) * modes + click
    return wave


def siren(random: np.random.Generator) -> Wave:
    """Return a tone with three overtones that wails between 600 and 1,400 Hz, louder when higher.

    Returns
    -------
    wave : (SAMPLES,) float64 at RATE_HZ, not normalised
    """
    t = np.arange(SAMPLES) / RATE_HZ
    pitch_hz = 1000 - 400 * np.cos(2 * np.pi * 0.4 * t)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    tones = sum(
        level * np.sin(number * phase) for number, level in ((1, 1), (2, 0.5), (3, 0.3), (4, 0.15))
    )
    return pitch_hz / 1400 * tones + 0.003 * random.standard_normal(SAMPLES)


def main() -> None:
    for sound in (church_bells, door_wood_knock, siren):
        wave = sound(np.random.default_rng(3))
        path = Path(__file__).with_name(f"{sound.__name__}.flac")
        soundfile.write(path, 0.5 * wave / np.abs(wave).max(), RATE_HZ, subtype="PCM_16")


if __name__ == "__main__":
    main()
