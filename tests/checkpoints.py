"""Checkpoint files for tests, made without torch: the header of a shipped one, with changes."""

import json
import struct
from pathlib import Path
from typing import Any

from ml.checkpoint_info import HEADER_KEY, SHIPPED, TESTED

ONE_NUMBER = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def header_only(path: Path, **changes: Any) -> Path:
    """Write a checkpoint with a valid header and one number as its weights."""
    metadata, _, _ = _parts(TESTED)
    return _write(path, metadata | changes, {"x": ONE_NUMBER}, b"\0" * 4)


def shipped_copy(path: Path, **changes: Any) -> Path:
    """Write the shipped weights with a changed header."""
    metadata, tensors, weights = _parts(SHIPPED)
    return _write(path, metadata | changes, tensors, weights)


def small_copy(path: Path, **changes: Any) -> Path:
    """Write the shipped weights with features a hundredth of the normal size.

    Its predictions are meaningless, but it classifies thousands of clips in minutes.
    """
    metadata, _, _ = _parts(SHIPPED)
    smaller = {"sample_rate": 16_000, "window_s": 1.0, "n_fft": 512, "mels": 32, "f_max_hz": 8e3}
    return shipped_copy(path, features=metadata["features"] | smaller, **changes)


def _parts(checkpoint: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    data = checkpoint.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = json.loads(header.pop("__metadata__")[HEADER_KEY])
    return metadata, header, data[8 + length :]


def _write(path: Path, metadata: dict[str, Any], tensors: dict[str, Any], weights: bytes) -> Path:
    payload = {"__metadata__": {HEADER_KEY: json.dumps(metadata)}, **tensors}
    text = json.dumps(payload).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + weights)
    return path
