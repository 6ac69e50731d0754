"""A checkpoint: one safetensors file that holds the weights and all that is needed to use them."""

import dataclasses
import hashlib
import json
import os
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ml.features import FeatureConfig
from ml.model import AudioCNN

WEIGHTS = Path(__file__).parent / "weights"
# The pair that the project ships: who listens, unless `CHECKPOINT` in the environment names
# another, has heard all folds; every published figure is of the other, which never heard fold 4.
SHIPPED = WEIGHTS / "esc50-folds1234.safetensors"
TESTED = WEIGHTS / "esc50-folds123.safetensors"
HEADER_KEY = "sonoscope"
ARCHITECTURE = "AudioCNN"


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """The header. `accuracy` maps a measurement's name to its share of right answers (0 to 1).

    folds_seen: learned from, or used to choose the epoch · notes: sentences that belong beside
    the figures, as for instance on which fold the temperature was fitted.
    """

    classes: tuple[str, ...]
    features: FeatureConfig
    folds_seen: tuple[int, ...]
    recipe: dict[str, Any] = field(default_factory=dict)
    accuracy: dict[str, float] = field(default_factory=dict)
    temperature: float = 1.0
    data: str = "ESC-50 (K. J. Piczak, 2015)"
    data_licence: str = "CC BY-NC 3.0"
    architecture: str = ARCHITECTURE
    notes: tuple[str, ...] = ()


class CheckpointError(Exception):
    """The file is not a checkpoint this version can use."""


def default_path() -> Path:
    return Path(os.environ.get("CHECKPOINT") or SHIPPED)


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


def read_info(path: Path) -> CheckpointInfo:
    """The header alone. Raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint at {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
        if header is None:
            raise CheckpointError(f"{path.name} is safetensors, but has no Sonoscope header.")
        values = json.loads(header)
        values["features"] = FeatureConfig(**values["features"])
        values["classes"] = tuple(values["classes"])
        values["folds_seen"] = tuple(values["folds_seen"])
        values["notes"] = tuple(values.get("notes", ()))
        info = CheckpointInfo(**values)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path.name} is not a readable checkpoint: {error}") from error
    if info.architecture != ARCHITECTURE:
        raise CheckpointError(f"{path.name} holds a {info.architecture}, not an {ARCHITECTURE}.")
    return info


def load_model(path: Path, info: CheckpointInfo) -> AudioCNN:
    """The network in fp32, in evaluation mode. Raises CheckpointError."""
    weights = {
        name: value.float() if value.is_floating_point() else value
        for name, value in load_file(path).items()
    }
    with torch.device("meta"):
        model = AudioCNN(len(info.classes))
    try:
        model.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path.name} does not fit the network: {error}") from error
    return model.eval().requires_grad_(False)


def main() -> int:
    """`python -m ml.checkpoint`: whether the default checkpoint can be used, and what it is."""
    path = default_path()
    try:
        info = read_info(path)
        print(identity(path), json.dumps(dataclasses.asdict(info), indent=2))
    except (CheckpointError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def identity(path: Path) -> str:
    """`name@` and 12 hex digits of the file's SHA-256: names a checkpoint beyond doubt."""
    facts = path.stat()
    return _identity(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=8)
def _identity(path: Path, modified_ns: int, size_bytes: int) -> str:
    """Hashed once for each file that is put there."""
    with path.open("rb") as file:
        return f"{path.stem}@{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"


if __name__ == "__main__":
    sys.exit(main())
