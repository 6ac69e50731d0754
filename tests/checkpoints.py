"""Checkpoint files for tests, made without torch: a shipped one's header with some changes."""

import json
import struct
from pathlib import Path
from typing import Any

from ml.checkpoint_info import HEADER_KEY, SHIPPED, TESTED

ONE_NUMBER = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def described(path: Path, **changes: Any) -> Path:
    """A file of one number, for whoever only reads what it says of itself."""
    metadata, _, _ = _parts(TESTED)
    return _write(path, metadata | changes, {"x": ONE_NUMBER}, b"\0" * 4)


def usable(path: Path, **changes: Any) -> Path:
    """The shipped weights under another name and header."""
    metadata, tensors, weights = _parts(SHIPPED)
    return _write(path, metadata | changes, tensors, weights)


def small(path: Path, **changes: Any) -> Path:
    """The shipped weights, shown a hundredth of the picture: its answers mean nothing, but it
    hears thousands of clips in minutes."""
    metadata, _, _ = _parts(SHIPPED)
    smaller = {"sample_rate": 16_000, "window_s": 1.0, "n_fft": 512, "mels": 32, "f_max_hz": 8e3}
    return usable(path, features=metadata["features"] | smaller, **changes)


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
