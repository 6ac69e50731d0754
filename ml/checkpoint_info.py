"""What a checkpoint says of itself, and which network it is for. Imports neither torch nor
safetensors: the web process reads it too.
"""

import dataclasses
import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml.from_json import from_json

WEIGHTS = Path(__file__).parent / "weights"
# The pair that the project ships: the default, trained on all folds, and the one that every
# published figure is of, which never heard fold 4.
SHIPPED = WEIGHTS / "esc50-folds1234.safetensors"
TESTED = WEIGHTS / "esc50-folds123.safetensors"
HEADER_KEY = "sonoscope"
ARCHITECTURE = "AudioCNN"
STAGES = ("conv1", "layer1", "layer2", "layer3", "layer4")
BLOCKS = {"layer1": 3, "layer2": 4, "layer3": 6, "layer4": 3}
# Power below this counts as silence: -100 dB. A fixed floor, and no `top_db`, so that
# a clip's features never depend on the other clips of its chunk.
POWER_FLOOR = 1e-10
# A header is JSON of some kilobytes; more than this is no checkpoint.
MAX_HEADER_BYTES = 10_000_000


class CheckpointError(Exception):
    """The file is not a checkpoint this version can use."""


@dataclass(frozen=True, slots=True)
class FeatureConfig:
    """Everything that decides what the network is shown.

    `mel_scale` is "slaney" or "htk". Slaney is the default because at 32 kHz / 1024 each of
    its lowest bands holds about two FFT bins; with htk they hold a sliver of one.
    """

    sample_rate: int = 32_000
    window_s: float = 5.0
    n_fft: int = 1024
    hop_samples: int = 512
    mels: int = 128
    f_min_hz: float = 20.0
    f_max_hz: float = 16_000.0
    mel_scale: str = "slaney"
    mean_db: float = 0.0
    deviation_db: float = 1.0

    @property
    def window_samples(self) -> int:
        return round(self.window_s * self.sample_rate)

    @property
    def silence(self) -> float:
        """What the network is shown where there is no sound."""
        return (10.0 * math.log10(POWER_FLOOR) - self.mean_db) / self.deviation_db


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


@dataclass(frozen=True, slots=True)
class Digest:
    """SHA-256 of the file, and the first 12 digits of that of its weights alone: the header may
    change while they stay the same."""

    sha256: str
    weights: str


def default_path() -> Path:
    return Path(os.environ.get("CHECKPOINT") or SHIPPED)


def map_names() -> tuple[str, ...]:
    """All 37 map names, in the order the data flows."""
    names = ["conv1"]
    for layer, count in BLOCKS.items():
        for block in range(count):
            names += [f"{layer}.block{block}.conv", f"{layer}.block{block}.relu"]
        names.append(layer)
    return tuple(names)


def read_info(path: Path) -> CheckpointInfo:
    """The header alone. Raises CheckpointError, and OSError where the file cannot be read."""
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint at {path}.")
    try:
        text = _read_metadata(path).get(HEADER_KEY)
        if text is None:
            raise CheckpointError(f"{path.name} is safetensors, but has no Sonoscope header.")
        payload = {"notes": (), **json.loads(text)}
        if missing := {one.name for one in dataclasses.fields(CheckpointInfo)} - payload.keys():
            raise ValueError(f"its header lacks {', '.join(sorted(missing))}")
        info = from_json(CheckpointInfo, payload)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise CheckpointError(f"{path.name} is not a readable checkpoint: {error}") from error
    if info.architecture != ARCHITECTURE:
        raise CheckpointError(f"{path.name} holds a {info.architecture}, not an {ARCHITECTURE}.")
    return info


def _read_metadata(path: Path) -> dict[str, str]:
    """The text that a safetensors file carries: eight bytes of length, then JSON."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER_BYTES:
            raise ValueError("it has no safetensors header")
        header = json.loads(file.read(length))
    metadata = header.pop("__metadata__", {})
    end = max(tensor["data_offsets"][1] for tensor in header.values())
    if path.stat().st_size != 8 + length + end:
        raise ValueError("it is cut short")
    return metadata


def digest(path: Path) -> Digest:
    """Read the file, and the weights in it once more."""
    with path.open("rb") as file:
        whole = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    return Digest(whole, weights[:12])


def identity(path: Path) -> str:
    """`name@` and 12 hex digits of the file's SHA-256: names a checkpoint beyond doubt."""
    return f"{path.stem}@{digest(path).sha256[:12]}"
