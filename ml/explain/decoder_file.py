"""The file of a mask decoder, which lies beside its checkpoint."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ml.checkpoint_info import CheckpointError, decoder_path, digest, read_metadata
from ml.explain.mask_decoder import MaskDecoder
from ml.from_json import from_json

HEADER_KEY = "sonoscope-explain"


@dataclass(frozen=True, slots=True)
class DecoderInfo:
    """The header of a mask decoder.

    Attributes
    ----------
    checkpoint : str
        Name of the checkpoint that it was trained for.
    weights : str
        Digest of that checkpoint's weights, `ml.checkpoint_info.Digest.weights`. Another header,
        for example with another temperature, does not change it.
    classes : int
        Number of classes.
    folds_seen : tuple of int
        The folds that the decoder was trained on.
    recipe : dict of str to Any
        How it was trained: `training.explain.recipe.ExplainRecipe`.
    started_from : str
        The checkpoint of the decoder that the training started from, or "".
    figures : dict of str to float
        What was measured at the end of the training.
    """

    checkpoint: str
    weights: str
    classes: int
    folds_seen: tuple[int, ...]
    recipe: dict[str, Any] = field(default_factory=dict)
    started_from: str = ""
    figures: dict[str, float] = field(default_factory=dict)


def save(path: Path, weights: dict[str, Tensor], info: DecoderInfo) -> None:
    """Write a decoder atomically. Weights are stored as fp16; counters stay integers."""
    halves = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in weights.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(halves, partial, metadata={HEADER_KEY: json.dumps(dataclasses.asdict(info))})
    partial.replace(path)


def read_header(path: Path) -> DecoderInfo:
    """Read the header of a decoder.

    Raises
    ------
    CheckpointError
        If the file is not a mask decoder.
    OSError
        If the file cannot be read.
    """
    try:
        text = read_metadata(path).get(HEADER_KEY)
        if text is None:
            raise CheckpointError(f"{path.name} is a safetensors file without a mask decoder.")
        info: DecoderInfo = from_json(DecoderInfo, json.loads(text))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise CheckpointError(f"{path.name} is not a readable mask decoder: {error}") from error
    return info


def load(path: Path) -> MaskDecoder:
    """Load a decoder in evaluation mode.

    Raises
    ------
    CheckpointError
        If the file is not a mask decoder of this version.
    """
    info = read_header(path)
    with torch.device("meta"):
        decoder = MaskDecoder(info.classes)
    try:
        weights = {
            name: value.float() if value.is_floating_point() else value
            for name, value in load_file(path).items()
        }
        decoder.load_state_dict(weights, assign=True)
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} does not match the mask decoder: {error}") from error
    return decoder.eval().requires_grad_(False)


def load_beside(checkpoint: Path) -> MaskDecoder | None:
    """Load the decoder of a checkpoint, or return None if it has none.

    Raises
    ------
    CheckpointError
        If the file beside the checkpoint is the decoder of other weights, or not a decoder.
    """
    path = decoder_path(checkpoint)
    if not path.is_file():
        return None
    info, weights = read_header(path), digest(checkpoint).weights
    if info.weights != weights:
        raise CheckpointError(
            f"{path.name} belongs to other weights ({info.checkpoint}, {info.weights}) than those "
            f"of {checkpoint.name} ({weights}). Train it again with `python -m training.explain`, "
            "or remove it."
        )
    return load(path)
