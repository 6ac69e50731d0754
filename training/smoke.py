"""A tiny data set of synthetic sounds in ESC-50's layout, to test the training code."""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE_HZ = 16_000
FOLDS, PER_FOLD = 4, 3
Wave = NDArray[np.float64]


def _hum(random: np.random.Generator, t: Wave) -> Wave:
    hz = random.uniform(80, 200)
    return sum((np.sin(2 * np.pi * hz * n * t) / n for n in range(1, 6)), np.zeros(len(t)))


def _rain(random: np.random.Generator, t: Wave) -> Wave:
    return random.standard_normal(len(t))


def _whistle(random: np.random.Generator, t: Wave) -> Wave:
    return np.sin(2 * np.pi * random.uniform(1500, 4000) * t + 3 * np.sin(2 * np.pi * 5 * t))


SOUNDS = {"hum": _hum, "rain": _rain, "whistle": _whistle}


def make(folder: Path) -> Path:
    """Write the data set into `folder`, the same every time, and return `folder`."""
    (folder / "meta").mkdir(parents=True, exist_ok=True)
    (folder / "audio").mkdir(exist_ok=True)
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    random = np.random.default_rng(1)
    t = np.arange(RATE_HZ) / RATE_HZ
    for number in range(FOLDS * PER_FOLD):
        fold = number // PER_FOLD + 1
        for target, (label, sound) in enumerate(SOUNDS.items()):
            wave = sound(random, t) + 0.05 * random.standard_normal(len(t))
            name = f"{fold}-{100 * target + number}-A-{target}.wav"
            soundfile.write(folder / "audio" / name, 0.5 * wave / np.abs(wave).max(), RATE_HZ)
            rows.append(f"{name},{fold},{target},{label},False,{100 * target + number},A")
    (folder / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")
    return folder
