"""The header of a checkpoint and the names of the network's maps.

Imports neither torch nor safetensors, because the web process uses it too.
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
# The shipped checkpoints: the default, trained on all folds, and the one that was not trained on
# fold 4, which every published figure is of.
SHIPPED = WEIGHTS / "esc50-folds1234.safetensors"
TESTED = WEIGHTS / "esc50-folds123.safetensors"
HEADER_KEY = "sonoscope"
# How the file of a checkpoint's mask decoder ends, after the checkpoint's name.
DECODER_SUFFIX = ".explain.safetensors"
# How the file of the sounds that excite its channels ends.
CHANNELS_SUFFIX = ".channels.json"
ARCHITECTURE = "AudioCNN"
STAGES = ("conv1", "layer1", "layer2", "layer3", "layer4")
BLOCKS = {"layer1": 3, "layer2": 4, "layer3": 6, "layer4": 3}
# Channels of every map of a stage.
CHANNELS = {"conv1": 64, "layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512}
# The score that tells whether a clip is none of the classes; see `ml.rejection`.
CLASS_DISTANCE = "class_distance"
# Power below this counts as silence: -100 dB. A fixed floor, and no `top_db`, so that
# a clip's features never depend on the other clips of its chunk.
POWER_FLOOR = 1e-10
SILENCE_DB = 10.0 * math.log10(POWER_FLOOR)
# A header is a few kilobytes of JSON. A file that declares more than this is not a checkpoint.
MAX_HEADER_BYTES = 10_000_000


class CheckpointError(Exception):
    """The file is not a checkpoint this version can use."""


@dataclass(frozen=True, slots=True)
class FeatureConfig:
    """All parameters of the network's input.

    Attributes
    ----------
    sample_rate : int
        In Hz.
    window_s : float
        Length of a window in seconds.
    n_fft, hop_samples : int
        Length of a frame of the spectrogram, and the step between frames, in samples.
    mels : int
        Number of mel bands, between `f_min_hz` and `f_max_hz`.
    mel_scale : {"slaney", "htk"}
        At 32 kHz and 1024 samples each of the lowest Slaney bands covers about two FFT bins, an
        HTK band only a fraction of one. So "slaney" is the default.
    mean_db, deviation_db : float
        The mean to subtract from the log-mel spectrogram, and the deviation to divide it by.
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

    def frames(self, samples: int) -> int:
        """Return the number of frames of the spectrogram of so many samples."""
        return 1 + samples // self.hop_samples

    @property
    def silence(self) -> float:
        """The normalised value of a cell without sound."""
        return (SILENCE_DB - self.mean_db) / self.deviation_db


@dataclass(frozen=True, slots=True)
class EmbeddingStatistics:
    """Where the training clips lie in the embedding: `ml.rejection.ClassDistance` as plain values.

    Attributes
    ----------
    means, directions : str
        Base64 of little-endian float16.
    """

    means: str
    directions: str
    variances: tuple[float, ...]
    rest_variance: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """When a checkpoint says that it is not sure, and how often that was right.

    The rates were measured on a fold that was not used in training, and on synthesised sounds
    that belong to none of the classes (`training/evaluate/rejection.py`).

    Attributes
    ----------
    score : str
        The name of the score, always CLASS_DISTANCE.
    threshold : float
        A clip with a lower score is not sure.
    statistics : EmbeddingStatistics
        What the score is computed from.
    fold : int
        The fold that the threshold was fitted on.
    right_flagged, wrong_flagged : float
        Share of the correct and of the wrong predictions on that fold that are not sure, each clip
        with a threshold fitted on other clips.
    outside_flagged : dict of str to float
        Share of the sounds outside the classes that are not sure, by kind.
    auroc : dict of str to float
        By kind, the share of pairs of a correct prediction and a sound outside the classes of
        which the correct prediction has the higher score; 0.5 by chance.
    """

    score: str
    threshold: float
    statistics: EmbeddingStatistics
    fold: int
    right_flagged: float
    wrong_flagged: float
    outside_flagged: dict[str, float]
    auroc: dict[str, float]

    @property
    def outside_flagged_mean(self) -> float:
        """The mean over the kinds of `outside_flagged`."""
        return sum(self.outside_flagged.values()) / len(self.outside_flagged)


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """The header of a checkpoint.

    Attributes
    ----------
    folds_seen : tuple of int
        The folds used for training or for choosing the epoch.
    accuracy : dict of str to float
        Share of correct predictions (0 to 1) by the name of the measurement.
    temperature : float
        The logits are divided by it before the softmax.
    notes : tuple of str
        Sentences to show beside the figures, for example on which fold the temperature was fitted.
    rejection : Rejection or None
        When a prediction is not sure; None if it always counts as sure.
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
    rejection: Rejection | None = None


@dataclass(frozen=True, slots=True)
class Digest:
    """The digests of a checkpoint's file.

    Attributes
    ----------
    sha256 : str
        Of the whole file, in hex.
    weights : str
        The first 12 hex digits of the SHA-256 of the weights alone, which stays the same when
        only the header changes.
    """

    sha256: str
    weights: str


def default_path() -> Path:
    """Return the path in the environment variable CHECKPOINT, else the shipped checkpoint."""
    return Path(os.environ.get("CHECKPOINT") or SHIPPED)


def decoder_path(checkpoint: Path) -> Path:
    """Return where the mask decoder of a checkpoint lies: `NAME.explain.safetensors` beside it."""
    return checkpoint.with_name(checkpoint.stem + DECODER_SUFFIX)


def map_names() -> tuple[str, ...]:
    """Return all 37 map names in the order of the data flow."""
    names = ["conv1"]
    for layer, count in BLOCKS.items():
        for block in range(count):
            names += [f"{layer}.block{block}.conv", f"{layer}.block{block}.relu"]
        names.append(layer)
    return tuple(names)


def read_info(path: Path) -> CheckpointInfo:
    """Read a checkpoint's header without its weights.

    Raises
    ------
    CheckpointError
        If there is no file, or it is not a checkpoint this version can use.
    OSError
        If the file cannot be read.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint at {path}.")
    try:
        text = read_metadata(path).get(HEADER_KEY)
        if text is None:
            raise CheckpointError(f"{path.name} is a safetensors file without a Sonoscope header.")
        payload = {"notes": (), "rejection": None, **json.loads(text)}
        if missing := {one.name for one in dataclasses.fields(CheckpointInfo)} - payload.keys():
            raise ValueError(f"its header lacks {', '.join(sorted(missing))}")
        info = from_json(CheckpointInfo, payload)
        _check_rejection(info.rejection)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise CheckpointError(f"{path.name} is not a readable checkpoint: {error}") from error
    if info.rejection and info.rejection.score != CLASS_DISTANCE:
        raise CheckpointError(f"{path.name} needs an unknown score, {info.rejection.score}.")
    if info.architecture != ARCHITECTURE:
        raise CheckpointError(f"{path.name} contains a {info.architecture}, not an {ARCHITECTURE}.")
    return info


def _check_rejection(rejection: Rejection | None) -> None:
    """Raises ValueError or TypeError if the threshold or the rates cannot be used."""
    if rejection is None:
        return
    outside, auroc = rejection.outside_flagged, rejection.auroc
    rates = (rejection.right_flagged, rejection.wrong_flagged, *outside.values(), *auroc.values())
    if not all(map(math.isfinite, (rejection.threshold, *rates))):
        raise ValueError("the threshold or a rate of “not sure” is not finite")
    if not outside or outside.keys() != auroc.keys():
        raise ValueError("outside_flagged and auroc must contain the same kinds, at least one")


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file: eight bytes of length, then JSON.

    Raises
    ------
    ValueError, LookupError, TypeError, AttributeError
        If it is not a whole safetensors file.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER_BYTES:
            raise ValueError("it has no safetensors header")
        header = json.loads(file.read(length))
    metadata = header.pop("__metadata__", {})
    end = max(tensor["data_offsets"][1] for tensor in header.values())
    if path.stat().st_size != 8 + length + end:
        raise ValueError("it is truncated")
    return metadata


def digest(path: Path) -> Digest:
    """Compute the digests of a file and of its weights. Reads the weights twice."""
    with path.open("rb") as file:
        whole = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    return Digest(whole, weights[:12])


def identity(path: Path) -> str:
    """Return the checkpoint's unique name: stem, `@` and 12 hex digits of the file's SHA-256."""
    return f"{path.stem}@{digest(path).sha256[:12]}"
