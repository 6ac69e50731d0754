"""Compare the duration of an epoch with a plain training loop: `python -m tools.bench.training`.

Both use the same network, features, augmentations and sounds, and run in turns in one process. The
plain loop opens each clip's file in each epoch and computes its features clip by clip; the network
runs in fp32 and contiguous memory. The time spent on opening files is reported separately, for
comparison with a loop that keeps them decoded. The duration of an epoch is extrapolated: the
median step times the number of steps.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import soundfile
import torch
from torch import Tensor
from torch.nn import functional as F

from ml.audio.decode import read
from ml.checkpoint_info import FeatureConfig
from ml.features import LogMel
from training import batches, loop
from training.augment import augmented
from training.config import Recipe, esc50_dir
from training.data.index import read_index
from training.data.windows import cut
from training.loop import Run

EPOCH_CLIPS, CLASSES = 1600, 50
# The original's spectrograms are 128 × 431: it uses 44.1 kHz with features for 22.05 kHz.
WIDE = FeatureConfig(sample_rate=44_100, f_max_hz=16_000.0, mean_db=-50.0, deviation_db=25.0)
OURS = FeatureConfig(mean_db=-50.0, deviation_db=25.0)


def clips(count: int, folder: Path) -> list[Path]:
    """Return the first clips of ESC-50; without ESC-50, write five-second noise to `folder`."""
    data = esc50_dir()
    if data is not None:
        return [example.path for example in read_index(data)[:count]]
    paths = [folder / f"{number}.wav" for number in range(count)]
    for path in paths:
        soundfile.write(path, torch.randn(5 * 44_100).mul(0.1).clamp(-1, 1).numpy(), 44_100)
    return paths


def sound(path: Path, features: FeatureConfig) -> Tensor:
    """Return a clip's first window, (samples,) float32 in [-1, 1]."""
    waveform = read(path, features.sample_rate).waveform
    return torch.from_numpy(next(cut(waveform, features.window_samples)))


def plain_step(
    run: Run, recipe: Recipe, log_mel: LogMel, paths: list[Path], labels: Tensor
) -> float:
    """Train on one batch as a simple loop would.

    Returns
    -------
    The seconds spent on opening files.
    """
    device = run.model.fc.weight.device
    pictures, targets = [], []
    files_s = 0.0
    for path, label in zip(paths, labels, strict=True):
        opened = time.perf_counter()
        waveform = sound(path, log_mel.config)[None]
        files_s += time.perf_counter() - opened
        target = F.one_hot(label[None], CLASSES).float()
        _, picture, target = augmented(waveform, target, recipe, log_mel, 0.0, run.generator)
        pictures.append(picture)
        targets.append(target)
    logits = run.model(torch.cat(pictures).to(device)).logits
    soft = torch.cat(targets).to(device)
    loss = F.cross_entropy(logits, soft, label_smoothing=recipe.label_smoothing)
    run.optimiser.zero_grad()
    loss.backward()
    run.optimiser.step()
    run.schedule.step()
    loop.update_average(run.average, run.model, recipe.ema)
    loss.item()
    return files_s


def contestants(
    recipe: Recipe, paths: list[Path], device: torch.device
) -> dict[str, Callable[[], float]]:
    """Return the training steps by name.

    Each trains on one batch and returns the seconds that it waited for files.
    """
    labels = torch.arange(recipe.batch) % CLASSES
    rows = torch.arange(recipe.batch)
    cpu = torch.device("cpu")

    def ours(features: FeatureConfig) -> Callable[[], float]:
        waveforms = torch.stack([sound(path, features) for path in paths])
        samples = batches.move_to_gpu((waveforms * 32767).to(torch.int16), device)
        log_mel = LogMel(features).to(device)
        run = loop.start(recipe, CLASSES, 1, device)

        def step() -> float:
            loop.train_epoch(run, recipe, log_mel, samples, labels, rows, lambda step, loss: None)
            return 0.0

        return step

    def plain(features: FeatureConfig) -> Callable[[], float]:
        log_mel = LogMel(features).to(cpu)
        run = loop.start(recipe, CLASSES, 1, device)
        run.model.to(memory_format=torch.contiguous_format).train()
        return lambda: plain_step(run, recipe, log_mel, paths, labels)

    return {
        "ours, 128 × 313": ours(OURS),
        "plain, 128 × 313": plain(OURS),
        "ours, 128 × 431": ours(WIDE),
        "plain, 128 × 431": plain(WIDE),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.training", description=__doc__)
    parser.add_argument("--steps", type=int, default=4, help="number of timed steps")
    steps = parser.parse_args().steps
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # Without crops, so that the spectrograms have the reported widths.
    recipe = dataclasses.replace(Recipe(), epochs=10 * steps + 10, crop_share=0.0)
    with tempfile.TemporaryDirectory() as folder:
        paths = clips(recipe.batch, Path(folder))
        taken_s, files_s = race(contestants(recipe, paths, device), steps)
    memory_s = {name: taken_s[name] - files_s[name] for name in taken_s}
    epoch_steps = -(-EPOCH_CLIPS // recipe.batch)
    figures = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "load average": [round(load, 1) for load in os.getloadavg()[:1]],
        "sounds": "ESC-50" if esc50_dir() else "noise",
        "batch": recipe.batch,
        "timed steps": steps,
        "step, s": rounded(taken_s, 3),
        "opening files, s per step": rounded(files_s, 3),
        f"epoch of {EPOCH_CLIPS} clips, s, extrapolated": rounded(taken_s, 1, epoch_steps),
        "plain / ours": ratios(taken_s),
        "plain without its files / ours": ratios(memory_s),
    }
    print(json.dumps(figures, indent=2, ensure_ascii=False))


def race(
    racers: dict[str, Callable[[], float]], steps: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Run the contestants in turns.

    Returns
    -------
    step_s : median duration of a step, by name
    files_s : median time that a step waited for files, by name
    """
    taken_s: dict[str, list[float]] = {name: [] for name in racers}
    files_s: dict[str, list[float]] = {name: [] for name in racers}
    for turn in range(steps + 1):
        for name, step in racers.items():
            started = time.perf_counter()
            waited_s = step()
            if turn:  # the first warms up
                taken_s[name].append(time.perf_counter() - started)
                files_s[name].append(waited_s)
    return (
        {name: statistics.median(times) for name, times in taken_s.items()},
        {name: statistics.median(times) for name, times in files_s.items()},
    )


def rounded(seconds: dict[str, float], digits: int, times: int = 1) -> dict[str, float]:
    return {name: round(value * times, digits) for name, value in seconds.items()}


def ratios(seconds: dict[str, float]) -> dict[str, float]:
    return {
        size: round(seconds[f"plain, {size}"] / seconds[f"ours, {size}"], 2)
        for size in ("128 × 313", "128 × 431")
    }


if __name__ == "__main__":
    main()
