"""The installed checkpoints, as their files describe themselves; no torch is needed for that.

Every `*.safetensors` beside the shipped one and in `SONOSCOPE_DATA/checkpoints/`, and the one that
CHECKPOINT names. Whoever keeps the installation puts them there; nobody uploads one.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from ml.checkpoint_info import CheckpointError, CheckpointInfo, digest, read_info

# With @ and 12 digits it fits into the column of an analysis.
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Installed:
    """A file that can be used. sha256, weights: as `ml.checkpoint_info.Digest` has them."""

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
        """What analyses name it by."""
        return f"{self.name}@{self.sha256[:12]}"


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that is left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """The default first, then by name."""

    usable: tuple[Installed, ...]
    unusable: tuple[Unusable, ...]


def look() -> Inventory:
    """Every installed file. What is wrong with one harms no other."""
    usable: list[Installed] = []
    unusable: list[Unusable] = []
    for path in _paths():
        twin = next((one for one in usable if one.name == path.stem), None)
        if twin:
            unusable.append(Unusable(path, f"it has the name of {twin.path}, which is used"))
            continue
        try:
            facts = path.stat()
            usable.append(_read(path, facts.st_mtime_ns, facts.st_size))
        except OSError as error:
            unusable.append(Unusable(path, error.strerror or "it cannot be read"))
        except CheckpointError as error:
            unusable.append(Unusable(path, str(error)))
    usable.sort(key=lambda one: (not one.default, one.name))
    return Inventory(tuple(usable), tuple(unusable))


def installed() -> tuple[Installed, ...]:
    return look().usable


def offered() -> tuple[Installed, ...]:
    """What may be asked for by name: at Modal, only the one that is deployed there."""
    modal = settings.INFERENCE == "modal"
    return tuple(one for one in installed() if one.default or not modal)


def find(asked: str) -> Installed | None:
    """By name or by identity; "" is the default."""
    for one in offered():
        if asked in (one.name, one.identity) or (one.default and not asked):
            return one
    return None


def _paths() -> list[Path]:
    """The default first: of two files with one name, the first is used. Each file once."""
    paths = [Path(settings.CHECKPOINT)]
    for folder in (Path(settings.WEIGHTS), Path(settings.CHECKPOINTS)):
        paths += sorted(folder.glob("*.safetensors"))
    once: dict[Path, Path] = {}
    for path in paths:
        once.setdefault(path.resolve(), path)
    return list(once.values())


@lru_cache(maxsize=64)
def _read(path: Path, modified_ns: int, size_bytes: int) -> Installed:
    """Hash the whole file, so once for each that is put there. Raises OSError, CheckpointError."""
    if len(path.stem) > MAX_NAME:
        raise CheckpointError(f"{path.name} has a name of more than {MAX_NAME} characters.")
    info, found = read_info(path), digest(path)
    return Installed(path, info, found.sha256, found.weights, size_bytes)
