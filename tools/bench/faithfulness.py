"""Measure how faithful attributions are: `python -m tools.bench.faithfulness CHECKPOINT --fold K`.

For each clip of a fold, the cells of the spectrogram with the highest attribution for the
network's prediction are removed from the sound, or only they are kept: mask → spectrum → sound →
network. Controls do the same with as many other cells. `--write` updates docs/attribution.md and
its figure.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ml import checkpoint_info
from ml.audio.decode import read
from ml.explain.masking import Masking, audible, resized
from ml.inference import Classifier
from ml.model import ModelOutput
from tools.bench.attribution_methods import METHODS, Method, chosen
from tools.bench.faithfulness_report import write
from training.cli import NO_DATA
from training.config import esc50_dir
from training.data.index import Example, read_index
from training.evaluate.measure import machine

Array = NDArray[np.float64]
SHARES = (0.1, 0.2, 0.3, 0.5)
BAR = SHARES.index(0.2)
CHOSEN_WITH = 80  # the first clips of the fold, which were used to choose the method
BLOCKS = (16, 20)  # the grid of the control that takes random blocks
BATCH, SEED = 16, 1
PAIRS, SURE = 64, 0.5


@dataclass(frozen=True, slots=True)
class Parts:
    """The probability of each clip's original prediction, for two parts of its sound.

    Attributes
    ----------
    kept : (clips,) for the sound under the mask
    rest : (clips,) for the sound without it
    """

    kept: Array
    rest: Array


class Experiment:
    """Clips, the network's predictions for them, and its predictions for parts of them.

    Attributes
    ----------
    size : (mels, frames) of a spectrogram
    waveforms : (clips, samples) float32 in [-1, 1] at the checkpoint's sample rate
    predicted : (clips,) predicted class indices
    before : (clips,) probability of the predicted class
    right : (clips,) bool, the prediction is correct
    sounding : (clips,) bool, less than a tenth of the frames is silent
    """

    def __init__(self, classifier: Classifier, examples: Sequence[Example]) -> None:
        self.classifier, self.masking = classifier, Masking(classifier.log_mel)
        features = classifier.info.features
        self.size = (features.mels, self.masking.frames)
        self.waveforms = torch.zeros(len(examples), features.window_samples)
        for row, example in zip(self.waveforms, examples, strict=True):
            sound = read(example.path, features.sample_rate).waveform[: len(row)]
            row[: len(sound)] = torch.from_numpy(sound)
        probabilities = self.predict(self.waveforms)
        self.predicted = probabilities.argmax(1)
        self.before = probabilities[np.arange(len(examples)), self.predicted]
        labels = [classifier.info.classes.index(example.label) for example in examples]
        self.right = self.predicted == np.array(labels)
        loudest_db = torch.cat([
            classifier.log_mel.decibels(part)[:, 0].amax(1) for part in self.waveforms.split(BATCH)
        ])  # fmt: skip
        silent = loudest_db <= classifier.log_mel.decibels(torch.zeros(1, 32_000)).max() + 1
        self.sounding = (silent.float().mean(1) < 0.1).numpy()

    def predict(self, waveforms: Tensor) -> NDArray[np.float32]:
        """Return the probabilities (clips, classes), as in an analysis."""
        found = self.classifier.predict(list(waveforms.numpy()))
        return np.stack([one.probabilities for one in found])

    def parts(self, masks: Tensor) -> Parts:
        """Apply masks to the clips and classify both parts.

        Parameters
        ----------
        masks : (clips, H, W) in [0, 1]
        """
        kept, rest = [], []
        rows = np.arange(len(self.predicted))
        for sounds, mask in zip(self.waveforms.split(BATCH), masks.split(BATCH), strict=True):
            split = self.masking.split(sounds, mask)
            kept.append(self.predict(split.kept))
            rest.append(self.predict(split.rest))
        return Parts(*(np.concatenate(one)[rows, self.predicted] for one in (kept, rest)))


def maps_of(
    classifier: Classifier, method: Method, waveforms: Tensor, classes: Tensor
) -> tuple[Tensor, float]:
    """Compute the attribution of a method for each clip.

    Parameters
    ----------
    waveforms : (clips, samples) float32
    classes : (clips,) int64

    Returns
    -------
    maps : (clips, H, W)
    milliseconds : median CPU time per clip, without the forward pass
    """
    found, seconds = [], []
    for sounds, asked in zip(waveforms.split(BATCH), classes.split(BATCH), strict=True):
        output = forward(classifier, sounds)
        started = time.process_time()
        found.append(method(output, classifier.info.features.silence, asked).detach().float())
        seconds.append((time.process_time() - started) / len(sounds))
    return torch.cat(found), 1000 * float(np.median(seconds))


def forward(classifier: Classifier, waveforms: Tensor) -> ModelOutput:
    """Run a forward pass with gradients down to its input picture.

    Parameters
    ----------
    waveforms : (batch, samples) float32
    """
    picture = classifier.log_mel(waveforms).contiguous(memory_format=torch.channels_last)
    with torch.enable_grad(), torch.autocast(
        picture.device.type, classifier.precision, enabled=classifier.precision != torch.float32
    ):  # fmt: skip
        return classifier.model(picture.requires_grad_())


def top_cells(maps: Tensor, share: float, size: tuple[int, int]) -> Tensor:
    """Return masks of the cells with the highest attribution; ties are broken at random.

    Parameters
    ----------
    maps : (clips, H, W)
    share : share of the cells, 0 to 1
    size : (mels, frames) of the masks

    Returns
    -------
    (clips, mels, frames) of 0 and 1
    """
    cells = resized(maps, *size).flatten(1).double()
    cells /= cells.abs().amax(1, keepdim=True).clamp_min(1e-30)
    cells += 1e-9 * torch.rand(cells.shape, generator=torch.Generator().manual_seed(SEED))
    best = cells.topk(round(share * cells.shape[1]), dim=1).indices
    return torch.zeros(cells.shape).scatter_(1, best, 1.0).view(-1, *size)


def moved(masks: Tensor) -> Tensor:
    """Roll each clip's mask by a random offset in frequency and time, keeping its shape.

    Parameters
    ----------
    masks : (clips, mels, frames)
    """
    draw = np.random.default_rng(SEED)
    height, width = masks.shape[1:]
    offsets = draw.integers(0, (height, width), (len(masks), 2)).tolist()
    return torch.stack([m.roll(o, (0, 1)) for m, o in zip(masks, offsets, strict=True)])


def blocks(clips: int, size: tuple[int, int]) -> Tensor:
    """Return random values (clips, *size) on a coarse grid; their top cells are random blocks."""
    random = torch.rand(clips, 1, *BLOCKS, generator=torch.Generator().manual_seed(SEED))
    return F.interpolate(random, size, mode="nearest")[:, 0]


def curves(experiment: Experiment, maps: Tensor) -> list[Parts]:
    """Return the predictions for each of `SHARES` of the top cells of `maps`."""
    return [experiment.parts(top_cells(maps, share, experiment.size)) for share in SHARES]


def figures(
    experiment: Experiment, found: list[Parts], controls: dict[str, Parts]
) -> dict[str, Any]:
    """Return means over clips, and how often the top 20 % of cells do more than each control."""
    groups = {
        "all": np.ones(len(experiment.before), bool),
        "chosen with": np.arange(len(experiment.before)) < CHOSEN_WITH,
        "others": np.arange(len(experiment.before)) >= CHOSEN_WITH,
        "without silence": experiment.sounding,
    }
    at = found[BAR]
    return {
        "kept": [round(float(one.kept.mean()), 3) for one in found],
        "rest": [round(float(one.rest.mean()), 3) for one in found],
        "removing does more": {
            name: {g: share(at.rest < control.rest, rows) for g, rows in groups.items()}
            for name, control in controls.items()
        },
        "keeping does more": {
            name: {g: share(at.kept > control.kept, rows) for g, rows in groups.items()}
            for name, control in controls.items()
        },
    }


def share(won: NDArray[np.bool_], rows: NDArray[np.bool_]) -> float | None:
    """Return the share of `won` among `rows`, both (clips,) bool, or None without rows."""
    return round(float(won[rows].mean()), 3) if rows.any() else None


def in_own_half(experiment: Experiment, methods: dict[str, Method]) -> dict[str, float]:
    """Return, by method, how much attribution lies in the half of a sound that has the class.

    The sounds are halves of two clips of different classes, one after the other, and attribution
    is computed for each of the two classes. Chance is 0.5.
    """
    draw = np.random.default_rng(SEED)
    sure = np.flatnonzero(experiment.right & (experiment.before > SURE))
    drawn = (draw.choice(sure, 2, replace=False) for _ in range(100 * PAIRS))
    predicted = experiment.predicted
    pairs = [pair for pair in drawn if predicted[pair[0]] != predicted[pair[1]]][:PAIRS]
    half = experiment.waveforms.shape[1] // 2
    joined = torch.stack([
        torch.cat([experiment.waveforms[a, :half], experiment.waveforms[b, :half]])
        for a, b in pairs
    ])  # fmt: skip
    own = {}
    for name, method in methods.items():
        shares = []
        for side in (0, 1):
            asked = torch.from_numpy(experiment.predicted[[pair[side] for pair in pairs]])
            maps = resized(
                maps_of(experiment.classifier, method, joined, asked)[0], *experiment.size
            )
            middle = experiment.size[1] // 2
            mine = maps[:, :, :middle] if side == 0 else maps[:, :, middle:]
            shares.append(mine.sum((1, 2)) / maps.sum((1, 2)))
        own[name] = round(float(torch.cat(shares).nanmean()), 3)
    return own


def measure(path: Path, examples: Sequence[Example], fold: int) -> dict[str, Any]:
    """Run the whole experiment on the clips of a fold and return the report."""
    torch.set_num_threads(1)
    experiment = Experiment(Classifier.load(path), examples)
    asked = torch.from_numpy(experiment.predicted)
    random = curves(experiment, blocks(len(examples), experiment.size))
    report: dict[str, Any] = {
        "checkpoint": checkpoint_info.identity(path),
        "folds seen": experiment.classifier.info.folds_seen,
        "fold": fold,
        "clips": len(examples),
        "clips without silence": int(experiment.sounding.sum()),
        "before": round(float(experiment.before.mean()), 3),
        "machine": machine(experiment.classifier.device),
        "shares": SHARES,
        "random blocks": figures(experiment, random, {}),
        "methods": {},
    }
    for name, method in METHODS.items():
        maps, milliseconds = maps_of(experiment.classifier, method, experiment.waveforms, asked)
        found = curves(experiment, maps)
        elsewhere = experiment.parts(moved(top_cells(maps, SHARES[BAR], experiment.size)))
        controls = {"blocks": random[BAR], "moved": elsewhere}
        report["methods"][name] = figures(experiment, found, controls) | {
            "milliseconds": round(milliseconds, 1),
            "moved": {k: round(float(getattr(elsewhere, k).mean()), 3) for k in ("kept", "rest")},
        }
        print(name, json.dumps(report["methods"][name]), flush=True)
        if method is chosen:
            played = experiment.parts(mask := audible(maps))
            report["played"] = {
                "kept": round(float(played.kept.mean()), 3),
                "rest": round(float(played.rest.mean()), 3),
                "mean of the mask": round(float(mask.mean()), 3),
                "kept keeps half": share(
                    played.kept > experiment.before / 2, experiment.before > 0
                ),
                "rest loses half": share(
                    played.rest < experiment.before / 2, experiment.before > 0
                ),
            }
            report["grid"] = list(maps.shape[1:])
    report["in own half"] = in_own_half(experiment, METHODS)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.faithfulness", description=__doc__)
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="?", default=checkpoint_info.TESTED)
    add("--data", type=Path, default=esc50_dir(), help="default: ESC50_DIR")
    add("--fold", type=int, default=4, help="a fold that was not used for training")
    add("--clips", type=int, help="number of clips, from the first; default: all")
    add("--write", action="store_true", help="update docs/attribution.md and its figure")
    options = parser.parse_args()
    if options.data is None:
        parser.error(NO_DATA)
    examples = [e for e in read_index(options.data) if e.fold == options.fold][: options.clips]
    report = measure(options.checkpoint, examples, options.fold)
    print(json.dumps(report))
    if options.write:
        write(report)


if __name__ == "__main__":
    main()
