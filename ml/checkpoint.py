"""Save and load checkpoints: safetensors files with the weights and all that inference needs."""

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
    """Write a checkpoint atomically. Weights are stored as fp16; counters stay integers."""
    halves = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in weights.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(halves, partial, metadata={HEADER_KEY: json.dumps(dataclasses.asdict(info))})
    partial.replace(path)


def load_model(path: Path, info: CheckpointInfo) -> AudioCNN:
    """Load the network in fp32 and evaluation mode.

    Raises
    ------
    CheckpointError
        If the weights cannot be read or do not match the network.
    """
    with torch.device("meta"):
        model = AudioCNN(len(info.classes))
    try:
        weights = {
            name: value.float() if value.is_floating_point() else value
            for name, value in load_file(path).items()
        }
        model.load_state_dict(weights, assign=True)
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} does not match the network: {error}") from error
    return model.eval().requires_grad_(False)
