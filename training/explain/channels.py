"""Find, for each channel of each stage, the training clips that excite it most."""

import heapq
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ml import checkpoint_info
from ml.audio.decode import read
from ml.checkpoint import load_model
from ml.checkpoint_info import CHANNELS, CHANNELS_SUFFIX, STAGES
from ml.features import LogMel
from ml.forward import folded
from ml.inference import pick_precision
from training.data.index import DataError, Example

EXAMPLES, BATCH = 5, 16

# (file name, label, second)
Excited = tuple[str, str, float]


def write(path: Path, examples: Sequence[Example]) -> Path:
    """Write `NAME.channels.json` beside a checkpoint, and return its path.

    Raises
    ------
    CheckpointError
        The checkpoint cannot be used.
    DataError
        The data has none of the folds that the checkpoint was trained on.
    """
    info = checkpoint_info.read_info(path)
    seen = [example for example in examples if example.fold in info.folds_seen]
    if not seen:
        raise DataError("The data has none of the folds that the checkpoint was trained on.")
    target = path.with_name(path.stem + CHANNELS_SUFFIX)
    stages = {
        stage: {str(number): found for number, found in enumerate(best)}
        for stage, best in most_excited(path, seen).items()
    }
    content = {"weights": checkpoint_info.digest(path).weights, "stages": stages}
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    partial.replace(target)
    return target


@torch.inference_mode()
def most_excited(path: Path, examples: Sequence[Example]) -> dict[str, list[list[Excited]]]:
    """Return, by stage and channel, the clips in which the channel is highest at one moment.

    Only the first window of a clip is looked at. A moment is a column of the channel's map; its
    value is the mean over frequency.

    Returns
    -------
    dict of str to list of list of Excited
        At most EXAMPLES for each channel, in falling order, none for a channel that is always 0.
    """
    info = checkpoint_info.read_info(path)
    features = info.features
    model = folded(load_model(path, info), pick_precision(torch.device("cpu")))
    log_mel = LogMel(features)
    best: dict[str, list[list[tuple[float, int, float]]]] = {
        stage: [[] for _ in range(CHANNELS[stage])] for stage in STAGES
    }
    for first in range(0, len(examples), BATCH):
        part = examples[first : first + BATCH]
        waveforms = torch.zeros(len(part), features.window_samples)
        for row, example in zip(waveforms, part, strict=True):
            sound = read(example.path, features.sample_rate).waveform[: len(row)]
            row[: len(sound)] = torch.from_numpy(sound)
        pictures = log_mel(waveforms).to(model.fc.weight.dtype)
        maps = model(pictures.contiguous(memory_format=torch.channels_last)).maps
        for stage in STAGES:
            columns = maps[stage].float().mean(2)  # (batch, channels, W)
            highest, places = (found.numpy() for found in columns.max(2))
            seconds = places * features.window_s / columns.shape[2]
            for clip, channel in np.argwhere(highest > 0):
                one = (float(highest[clip, channel]), first + clip, float(seconds[clip, channel]))
                kept = best[stage][channel]
                if len(kept) < EXAMPLES:
                    heapq.heappush(kept, one)
                elif one > kept[0]:
                    heapq.heapreplace(kept, one)
    return {
        stage: [
            [
                (examples[clip].path.name, examples[clip].label, round(second, 1))
                for _, clip, second in sorted(kept, reverse=True)
            ]
            for kept in channels
        ]
        for stage, channels in best.items()
    }
