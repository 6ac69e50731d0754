"""The installed checkpoints, as their files describe themselves; no torch is needed for that.

Every `*.safetensors` beside the shipped one and in `SONOSCOPE_DATA/checkpoints/`, and the one that
CHECKPOINT names. Whoever keeps the installation puts them there; nobody uploads one.
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

# A header is JSON of some kilobytes; more than this is no checkpoint.
LONGEST_HEADER_BYTES = 10_000_000
# With @ and 12 digits it fits into the column of an analysis.
LONGEST_NAME = 100
BLOCK_BYTES = 1 << 20
# What the header of every checkpoint says; notes came later.
SAID = {
    "architecture", "classes", "features", "folds_seen", "recipe", "accuracy", "temperature",
    "data", "data_licence",
}  # fmt: skip
# What reading something else, or half of one, ends in.
DAMAGED = (ValueError, KeyError, TypeError, struct.error)


@dataclass(frozen=True, slots=True)
class _File:
    """What a file says, whatever else is installed. `weights`: 12 digits, without the header."""

    sha256: str
    weights: str
    size_bytes: int
    header: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Installed:
    """`identity` is what analyses name it by, name@sha256; `header` as `ml.checkpoint` wrote it."""

    path: Path
    sha256: str
    weights: str
    size_bytes: int
    header: dict[str, Any]
    default: bool

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def identity(self) -> str:
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
            found = _known(path)
        except OSError as error:
            unusable.append(Unusable(path, error.strerror or "it cannot be read"))
        except DAMAGED:
            unusable.append(Unusable(path, "it is no checkpoint of ours, or cut short"))
        else:
            usable.append(
                Installed(
                    path,
                    found.sha256,
                    found.weights,
                    found.size_bytes,
                    found.header,
                    default=path == Path(settings.CHECKPOINT),
                )
            )
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


def _known(path: Path) -> _File:
    """Raises OSError, or one of DAMAGED."""
    if len(path.stem) > LONGEST_NAME:
        raise ValueError("too long a name")
    facts = path.stat()
    return _read(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=64)
def _read(path: Path, modified_ns: int, size_bytes: int) -> _File:
    """Hashes the whole file, so once for each that is put there."""
    header = read_header(path)
    whole, weights = hashlib.sha256(), hashlib.sha256()
    with path.open("rb") as file:
        length = file.read(8)
        whole.update(length + file.read(struct.unpack("<Q", length)[0]))
        while block := file.read(BLOCK_BYTES):
            whole.update(block)
            weights.update(block)
    return _File(whole.hexdigest(), weights.hexdigest()[:12], size_bytes, header)


def read_header(path: Path) -> dict[str, Any]:
    """What a safetensors file says of itself: eight bytes of length, then JSON."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > LONGEST_HEADER_BYTES:
            raise ValueError("no safetensors header")
        header = json.loads(file.read(length))
    end = max(tensor["data_offsets"][1] for name, tensor in header.items() if name[0] != "_")
    if path.stat().st_size != 8 + length + end:
        raise ValueError("cut short")
    payload = {"notes": [], **json.loads(header["__metadata__"]["sonoscope"])}
    if missing := SAID - set(payload):
        raise KeyError(*missing)
    return payload
