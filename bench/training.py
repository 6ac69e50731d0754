"""How long an epoch takes, ours beside a plain loop: `python -m bench.training`.

The same network, features and augmentations, on the same sounds, turn by turn in one process. The
plain loop does what a first version does: fp32, contiguous memory, features clip by clip. An epoch
is the median step times the steps of an epoch: told as what it is, an extrapolation.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ml.audio import read
from ml.features import FeatureConfig, LogMel
from training import engine
from training.augment import augmented
from training.config import Recipe, esc50_dir
from training.dataset import read_index
from training.engine import Run
from training.waveforms import cut, to_float

EPOCH_CLIPS, CLASSES = 1600, 50
# The original's pictures are 128 × 431: it feeds 44.1 kHz to features made for 22.05 kHz.
WIDE = FeatureConfig(sample_rate=44_100, f_max_hz=16_000.0, mean_db=-50.0, deviation_db=25.0)
OURS = FeatureConfig(mean_db=-50.0, deviation_db=25.0)


def sounds(features: FeatureConfig, count: int) -> Tensor:
    """(count, samples) int16: the first clips of ESC-50, or noise where there is none."""
    folder = esc50_dir()
    if folder is None:
        noise = torch.randn(count, features.window_samples) * 3000
        return noise.clamp(-32767, 32767).to(torch.int16)
    waveforms = [read(e.path, features.sample_rate).waveform for e in read_index(folder)[:count]]
    pieces = [next(cut(waveform, features.window_samples)) for waveform in waveforms]
    return torch.stack([torch.from_numpy(piece) * 32767 for piece in pieces]).to(torch.int16)


def plain_step(run: Run, recipe: Recipe, log_mel: LogMel, samples: Tensor, labels: Tensor) -> None:
    """One batch as a simple loop would have it."""
    device = run.model.fc.weight.device
    pictures, targets = [], []
    for sound, label in zip(samples, labels, strict=True):
        target = F.one_hot(label[None], CLASSES).float()
        picture, target = augmented(
            to_float(sound[None]), target, recipe, log_mel, 0.0, run.generator
        )
        pictures.append(picture)
        targets.append(target)
    logits = run.model(torch.cat(pictures).to(device)).logits
    soft = torch.cat(targets).to(device)
    loss = F.cross_entropy(logits, soft, label_smoothing=recipe.label_smoothing)
    run.optimiser.zero_grad()
    loss.backward()
    run.optimiser.step()
    run.schedule.step()
    engine.follow(run.average, run.model, recipe.ema)
    loss.item()


def contestants(recipe: Recipe, device: torch.device) -> dict[str, Callable[[], None]]:
    """Each does one step of one batch."""
    labels = torch.arange(recipe.batch) % CLASSES
    rows = torch.arange(recipe.batch)
    cpu = torch.device("cpu")

    def ours(features: FeatureConfig) -> Callable[[], None]:
        samples = engine.settle(sounds(features, recipe.batch), device)
        log_mel = LogMel(features).to(device)
        run = engine.start(recipe, CLASSES, 1, device)

        def step() -> None:
            engine.train_epoch(run, recipe, log_mel, samples, labels, rows, lambda step, loss: None)

        return step

    def plain(features: FeatureConfig) -> Callable[[], None]:
        samples, log_mel = sounds(features, recipe.batch), LogMel(features).to(cpu)
        run = engine.start(recipe, CLASSES, 1, device)
        run.model.to(memory_format=torch.contiguous_format).train()
        return lambda: plain_step(run, recipe, log_mel, samples, labels)

    return {
        "ours, 128 × 313": ours(OURS),
        "plain, 128 × 313": plain(OURS),
        "ours, 128 × 431": ours(WIDE),
        "plain, 128 × 431": plain(WIDE),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.training", description=__doc__)
    parser.add_argument("--steps", type=int, default=4, help="timed steps of each")
    steps = parser.parse_args().steps
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # Without crops: the pictures are to have the widths that are told.
    recipe = dataclasses.replace(Recipe(), epochs=10 * steps + 10, crop_share=0.0)
    taken_s: dict[str, list[float]] = {}
    racers = contestants(recipe, device)
    for turn in range(steps + 1):
        for name, step in racers.items():
            started = time.perf_counter()
            step()
            if turn:  # the first warms up
                taken_s.setdefault(name, []).append(time.perf_counter() - started)
    step_s = {name: statistics.median(times) for name, times in taken_s.items()}
    epoch_steps = -(-EPOCH_CLIPS // recipe.batch)
    figures = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "load while measured": [round(load, 1) for load in os.getloadavg()[:1]],
        "sounds": "ESC-50" if esc50_dir() else "noise",
        "batch": recipe.batch,
        "timed steps of each": steps,
        "step, s": {name: round(value, 3) for name, value in step_s.items()},
        f"epoch of {EPOCH_CLIPS} clips, s, extrapolated": {
            name: round(value * epoch_steps, 1) for name, value in step_s.items()
        },
        "plain / ours": {
            size: round(step_s[f"plain, {size}"] / step_s[f"ours, {size}"], 2)
            for size in ("128 × 313", "128 × 431")
        },
    }
    print(json.dumps(figures, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
