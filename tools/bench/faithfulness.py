"""Measure how faithful explanations are: `python -m tools.bench.faithfulness CHECKPOINT --fold K`.

For each clip of a fold and each method, the sound is split by the method's mask for the network's
prediction, and both parts are classified: mask → spectrum → sound → network. `--write` updates
docs/explanations.md and its picture.
"""

import argparse
import copy
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml import checkpoint_info
from ml.audio.decode import read
from ml.explain.masking import Masking, mask_of, resized
from ml.explain.verdict import Verdict, judge
from ml.forward import folded
from ml.inference import Classifier
from ml.model import AudioCNN, ModelOutput
from tools.bench.attribution_methods import METHODS, Explained, Method
from tools.bench.faithfulness_report import Shown, write
from training.cli import NO_DATA
from training.config import esc50_dir
from training.data.index import Example, read_index
from training.evaluate.measure import machine

Array = NDArray[np.float64]
BATCH, SEED = 16, 1
PAIRS, SURE = 64, 0.5
# A class is absent from a clip if it is not the label and the network gives it less than this.
ABSENT = 0.05
# An absent class that reaches this in its part is found where it is not.
FOUND = 0.2
TIMED_CLASSES, TIMED_CLIPS = 5, 8
SHOWN_EACH = 2  # clips in the picture for each verdict


@dataclass(frozen=True, slots=True)
class Parts:
    """The probabilities (clips, classes) of two parts of each clip: under a mask, and the rest."""

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
    absent : (clips,) for each clip a class that is not in it, drawn at random
    right : (clips,) bool, the prediction is correct
    """

    def __init__(self, classifier: Classifier, examples: Sequence[Example]) -> None:
        if classifier.decoder is None:
            raise SystemExit("This checkpoint has no mask decoder; train one with training.explain")
        self.classifier, self.masking = classifier, Masking(classifier.log_mel)
        features = classifier.info.features
        self.size = (features.mels, self.masking.frames)
        model = folded(classifier.model, classifier.precision)
        self.explained = Explained(model, classifier.decoder, features.silence)
        self.waveforms = torch.zeros(len(examples), features.window_samples)
        for row, example in zip(self.waveforms, examples, strict=True):
            sound = read(example.path, features.sample_rate).waveform[: len(row)]
            row[: len(sound)] = torch.from_numpy(sound)
        probabilities = self.predict(self.waveforms)
        rows = np.arange(len(examples))
        self.predicted = probabilities.argmax(1)
        self.before = probabilities[rows, self.predicted]
        labels = np.array([classifier.info.classes.index(one.label) for one in examples])
        self.right = self.predicted == labels
        chance = np.random.default_rng(SEED).random(probabilities.shape)
        chance[(probabilities >= ABSENT) | (np.eye(probabilities.shape[1])[labels] > 0)] = -1
        self.absent = chance.argmax(1)

    def predict(self, waveforms: Tensor) -> NDArray[np.float32]:
        """Return the probabilities (clips, classes), as in an analysis."""
        found = self.classifier.predict(list(waveforms.numpy()))
        return np.stack([one.probabilities for one in found])

    def parts(self, masks: Tensor, rest: bool = True) -> Parts:
        """Apply masks to the clips and classify the parts.

        Parameters
        ----------
        masks : (clips, H, W) in [0, 1]
        rest : also classify the rest
        """
        kept, others = [], []
        for sounds, mask in zip(self.waveforms.split(BATCH), masks.split(BATCH), strict=True):
            split = self.masking.split(sounds, mask)
            kept.append(self.predict(split.kept))
            others.append(self.predict(split.rest) if rest else kept[-1])
        return Parts(np.concatenate(kept), np.concatenate(others))

    def maps(self, method: Method, waveforms: Tensor, classes: NDArray[np.int64]) -> Tensor:
        """Return the maps (clips, k, H, W) of classes (clips, k) in sounds (clips, samples)."""
        asked = torch.from_numpy(classes)
        return torch.cat([
            method.draw(self.explained, forward(self.classifier, self.explained.model, part), some)
            for part, some in zip(waveforms.split(BATCH), asked.split(BATCH), strict=True)
        ]).detach().float()  # fmt: skip


def forward(classifier: Classifier, model: AudioCNN, waveforms: Tensor) -> ModelOutput:
    """Run a forward pass with gradients down to its input picture."""
    picture = classifier.log_mel(waveforms).to(model.fc.weight.dtype)
    picture = picture.contiguous(memory_format=torch.channels_last).requires_grad_()
    with torch.enable_grad():
        return model(picture)


def figures(experiment: Experiment, masks: Tensor, parts: Parts, absent: Parts) -> dict[str, float]:
    """Return the figures of one method.

    AI, AD, AG, FF and Fid-In are defined as in L-MAC (Paissan et al., 2024); SPS is the Gini index
    (Chalasani et al., 2020) and COMP the entropy (Bhatt et al., 2020) of the mask's cells.

    Parameters
    ----------
    masks : (clips, H, W) of the predicted classes
    parts : of the predicted classes
    absent : of the absent classes
    """
    rows, before = np.arange(len(experiment.before)), experiment.before
    kept, rest = (one[rows, experiment.predicted] for one in (parts.kept, parts.rest))
    judged = verdicts(before, kept, rest)
    # On the same grid, because both depend on the number of cells.
    cells = resized(masks, *experiment.size).flatten(1).double()
    found = {
        "part keeps": kept.mean(),
        "rest keeps": rest.mean(),
        **{verdict.value: np.mean([one is verdict for one in judged]) for verdict in Verdict},
        "mask area": float(masks.mean()),
        "absent": (absent.kept[rows, experiment.absent] >= FOUND).mean(),
        "AI": 100 * (kept > before).mean(),
        "AD": 100 * (np.maximum(0, before - kept) / before).mean(),
        "AG": 100 * (np.maximum(0, kept - before) / (1 - before + 1e-9)).mean(),
        "FF": (before - rest).mean(),
        "Fid-In": (parts.kept.argmax(1) == experiment.predicted).mean(),
        "SPS": float(gini(cells).mean()),
        "COMP": float(entropy(cells).mean()),
    }
    return {name: round(float(value), 4) for name, value in found.items()}


def verdicts(before: Array, kept: Array, rest: Array) -> list[Verdict]:
    """Return the verdict on the explanation of each clip, from the probabilities (clips,)."""
    rows = zip(before.tolist(), kept.tolist(), rest.tolist(), strict=True)
    return [judge(*row) for row in rows]


def gini(cells: Tensor) -> Tensor:
    """Return the Gini index of each row: 0 if all cells are equal, near 1 if one has all."""
    count = cells.shape[1]
    rank = torch.arange(1, count + 1, dtype=cells.dtype)
    total = cells.sum(1).clamp_min(1e-12)
    return ((2 * rank - count - 1) * cells.sort(1).values).sum(1) / (count * total)


def entropy(cells: Tensor) -> Tensor:
    """Return the entropy, in nats, of each row's shares of its sum."""
    shares = cells / cells.sum(1, keepdim=True).clamp_min(1e-12)
    return torch.special.entr(shares).sum(1)


def in_own_half(experiment: Experiment, method: Method) -> float:
    """Return how much of a map lies in the half of a sound that has the class.

    The sounds are halves of two clips of different classes, one after the other, and maps are drawn
    for both classes. Chance is 0.5.
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
    maps = experiment.maps(method, joined, predicted[np.array(pairs)])
    middle = maps.shape[-1] / 2
    place = torch.arange(maps.shape[-1])
    in_first = (middle - place).clamp(0, 1)  # the middle column counts half for each
    first = (maps * in_first).sum((2, 3)) / maps.sum((2, 3))
    return round(float(torch.cat([first[:, 0], 1 - first[:, 1]]).nanmean()), 3)


def change_when_randomised(experiment: Experiment, clips: int = 64) -> dict[str, float]:
    """Return the correlation of the decoder's masks with those of randomised networks.

    A map that stays the same does not show what the network has learned (Adebayo et al., 2018).
    """
    method, waveforms = METHODS["mask decoder"], experiment.waveforms[:clips]
    classes = experiment.predicted[:clips, None]
    before = experiment.maps(method, waveforms, classes).flatten(1)
    found = {}
    for name, parts in {
        "the last layer": ("fc",),
        "layer4 and the last layer": ("layer4", "fc"),
        "all layers": ("conv1", "layer1", "layer2", "layer3", "layer4", "fc"),
    }.items():
        other = copy.copy(experiment)
        model = folded(randomised(experiment.classifier.model, parts), torch.float32)
        other.explained = Explained(
            model, experiment.explained.decoder, experiment.explained.silence
        )
        after = other.maps(method, waveforms, classes).flatten(1)
        pairs = zip(before.numpy(), after.numpy(), strict=True)
        found[name] = round(float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs])), 3)
    return found


def randomised(model: AudioCNN, parts: Sequence[str]) -> AudioCNN:
    """Return a copy in which the weights of some parts are shuffled, which keeps their scale."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(SEED)
    for part in parts:
        for module in model.get_submodule(part).modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                weight = module.weight
                order = torch.randperm(weight.numel(), generator=generator)
                module.weight.data = weight.flatten()[order].view_as(weight)
    return model


def milliseconds(experiment: Experiment, method: Method) -> float:
    """Return the CPU time per map of the likeliest classes, without the forward pass."""
    waveforms = experiment.waveforms[:TIMED_CLIPS]
    likeliest = np.argsort(-experiment.predict(waveforms), axis=1)[:, :TIMED_CLASSES]
    times = []
    for sound, asked in zip(waveforms, torch.from_numpy(likeliest.copy()), strict=True):
        output = forward(experiment.classifier, experiment.explained.model, sound[None])
        started = time.process_time()
        method.draw(experiment.explained, output, asked[None])
        times.append((time.process_time() - started) / TIMED_CLASSES)
    return round(1000 * float(np.median(times)), 1)


def measure(
    path: Path, examples: Sequence[Example], fold: int
) -> tuple[dict[str, Any], list[Shown]]:
    """Run the whole experiment on the clips of a fold and return the report, and clips to draw."""
    experiment = Experiment(Classifier.load(path), examples)
    asked = np.stack([experiment.predicted, experiment.absent], 1)
    report: dict[str, Any] = {
        "checkpoint": checkpoint_info.identity(path),
        "folds seen": experiment.classifier.info.folds_seen,
        "fold": fold,
        "clips": len(examples),
        "before": round(float(experiment.before.mean()), 3),
        "machine": machine(experiment.classifier.device),
        "methods": {},
    }
    for name, method in METHODS.items():
        maps = experiment.maps(method, experiment.waveforms, asked)
        masks = mask_of(maps.flatten(0, 1), method.kind).view_as(maps)
        of_prediction, of_absent = masks.unbind(1)
        parts = experiment.parts(of_prediction)
        absent = experiment.parts(of_absent, rest=False)
        report["methods"][name] = figures(experiment, of_prediction, parts, absent) | {
            "own half": in_own_half(experiment, method),
            "milliseconds": milliseconds(experiment, method),
        }
        print(name, json.dumps(report["methods"][name]), flush=True)
        if name == "mask decoder":
            examples_shown = shown(experiment, of_prediction, parts)
    report["randomised"] = change_when_randomised(experiment)
    return report, examples_shown


def shown(experiment: Experiment, masks: Tensor, parts: Parts) -> list[Shown]:
    """Return clips to draw: the first of each verdict, of different classes."""
    rows, before = np.arange(len(masks)), experiment.before
    kept, rest = (one[rows, experiment.predicted] for one in (parts.kept, parts.rest))
    judged = verdicts(before, kept, rest)
    found, classes = [], set()
    # A class that is not predicted is not worth a picture.
    for verdict in (Verdict.CONVINCING, Verdict.SPREAD, Verdict.NOT_RELIABLE):
        of_verdict = 0
        for row, its in enumerate(judged):
            label = experiment.classifier.info.classes[experiment.predicted[row]]
            if its is not verdict or label in classes or of_verdict == SHOWN_EACH:
                continue
            classes.add(label)
            of_verdict += 1
            decibels = experiment.classifier.log_mel.decibels(experiment.waveforms[row : row + 1])
            whole, part, others = (round(float(one[row]), 3) for one in (before, kept, rest))
            picture, mask = decibels[0, 0].numpy(), masks[row].numpy()
            found.append(Shown(label, verdict, picture, mask, whole, part, others))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.faithfulness", description=__doc__)
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="?", default=checkpoint_info.TESTED)
    add("--data", type=Path, default=esc50_dir(), help="default: ESC50_DIR")
    add("--fold", type=int, default=4, help="a fold that was not used for training")
    add("--clips", type=int, help="number of clips, from the first; default: all")
    add("--write", action="store_true", help="update docs/explanations.md and its picture")
    options = parser.parse_args()
    if options.data is None:
        parser.error(NO_DATA)
    if options.fold in checkpoint_info.read_info(options.checkpoint).folds_seen:
        parser.error(f"{options.checkpoint.name} was trained on fold {options.fold}.")
    if options.write and options.clips:
        parser.error("--write needs all clips of the fold.")
    examples = [e for e in read_index(options.data) if e.fold == options.fold][: options.clips]
    report, drawn = measure(options.checkpoint, examples, options.fold)
    print(json.dumps(report))
    if options.write:
        write(report, drawn)


if __name__ == "__main__":
    main()
