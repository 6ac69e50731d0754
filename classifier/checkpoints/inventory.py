"""The installed checkpoints, read from their file headers without torch.

They are every `*.safetensors` beside the shipped one and in `SONOSCOPE_DATA/checkpoints/`, and
the one that CHECKPOINT names. An operator puts them there; they cannot be uploaded.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from ml.checkpoint_info import (
    DECODER_SUFFIX,
    CheckpointError,
    CheckpointInfo,
    decoder_path,
    digest,
    read_info,
)
from ml.events import read_settings

# With @ and 12 digits it fits in the checkpoint column of an analysis.
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Installed:
    """A checkpoint file that can be used.

    Attributes
    ----------
    sha256, weights : str
        As in `ml.checkpoint_info.Digest`.
    """

    path: Path
    info: CheckpointInfo
    sha256: str
    weights: str
    size_bytes: int

    @property
    def default(self) -> bool:
        return self.path == Path(settings.CHECKPOINT)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def identity(self) -> str:
        """The name by which analyses refer to it: name@ and 12 hex digits of the hash."""
        return f"{self.name}@{self.sha256[:12]}"


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that cannot be used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """The installed files; in `usable` the default comes first, the others by name."""

    usable: tuple[Installed, ...]
    unusable: tuple[Unusable, ...]


def look() -> Inventory:
    """Return every installed file. An error in one file does not affect the others."""
    usable: list[Installed] = []
    unusable: list[Unusable] = []
    for path in _paths():
        twin = next((one for one in usable if one.name == path.stem), None)
        if twin:
            unusable.append(
                Unusable(path, f"it has the same name as {twin.path}, which is used instead")
            )
            continue
        try:
            facts = path.stat()
            found = _read(path, facts.st_mtime_ns, facts.st_size)
            # Workers cannot load a checkpoint whose settings are damaged.
            read_settings(path, found.info.classes, found.weights)
            usable.append(found)
        except OSError as error:
            unusable.append(Unusable(path, error.strerror or "it cannot be read"))
        except CheckpointError as error:
            unusable.append(Unusable(path, str(error)))
    usable.sort(key=lambda one: (not one.default, one.name))
    return Inventory(tuple(usable), tuple(unusable))


def installed() -> tuple[Installed, ...]:
    return look().usable


def offered() -> tuple[Installed, ...]:
    """Return the checkpoints that can be requested; with Modal only the default, deployed there."""
    modal = settings.INFERENCE == "modal"
    return tuple(one for one in installed() if one.default or not modal)


def find(asked: str) -> Installed | None:
    """Return the offered checkpoint with this name or identity; "" means the default."""
    for one in offered():
        if asked in (one.name, one.identity) or (one.default and not asked):
            return one
    return None


def decoder_digest(identity: str) -> str | None:
    """Return the first 12 hex digits of the SHA-256 of the file of a checkpoint's mask decoder.

    Returns
    -------
    str or None
        "" if the checkpoint has no mask decoder, None if the checkpoint is not installed.
    """
    for one in installed():
        if one.identity == identity:
            path = decoder_path(one.path)
            if not path.is_file():
                return ""
            facts = path.stat()
            return _file_digest(path, facts.st_mtime_ns, facts.st_size)
    return None


def _paths() -> list[Path]:
    """Return each file once, the default first: of two files with one name, the first is used."""
    paths = [Path(settings.CHECKPOINT)]
    for folder in (Path(settings.WEIGHTS), Path(settings.CHECKPOINTS)):
        found = sorted(folder.glob("*.safetensors"))
        paths += [path for path in found if not path.name.endswith(DECODER_SUFFIX)]
    once: dict[Path, Path] = {}
    for path in paths:
        once.setdefault(path.resolve(), path)
    return list(once.values())


@lru_cache(maxsize=64)
def _read(path: Path, modified_ns: int, size_bytes: int) -> Installed:
    """Hash the whole file, cached by its time and size. Raises OSError and CheckpointError."""
    if len(path.stem) > MAX_NAME:
        raise CheckpointError(f"The name of {path.name} is longer than {MAX_NAME} characters.")
    info, found = read_info(path), digest(path)
    return Installed(path, info, found.sha256, found.weights, size_bytes)


@lru_cache(maxsize=64)
def _file_digest(path: Path, modified_ns: int, size_bytes: int) -> str:
    """Hash a file, cached by its time and size."""
    return digest(path).sha256[:12]
