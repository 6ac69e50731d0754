"""A checkpoint: one safetensors file that holds the weights and all that is needed to use them."""

import dataclasses
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ml.checkpoint_info import HEADER_KEY, CheckpointError, CheckpointInfo
from ml.model import AudioCNN


def save(path: Path, weights: dict[str, Tensor], info: CheckpointInfo) -> None:
    """Write `weights` as fp16 (counters stay integers), atomically."""
    halves = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in weights.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(halves, partial, metadata={HEADER_KEY: json.dumps(dataclasses.asdict(info))})
    partial.replace(path)


def load_model(path: Path, info: CheckpointInfo) -> AudioCNN:
    """The network in fp32, in evaluation mode. Raises CheckpointError."""
    with torch.device("meta"):
        model = AudioCNN(len(info.classes))
    try:
        weights = {
            name: value.float() if value.is_floating_point() else value
            for name, value in load_file(path).items()
        }
        model.load_state_dict(weights, assign=True)
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} does not fit the network: {error}") from error
    return model.eval().requires_grad_(False)
