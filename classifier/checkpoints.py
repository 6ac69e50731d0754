"""The installed checkpoints, as their files describe themselves; no torch is needed for that."""

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
# What reading something else, or half of one, ends in.
DAMAGED = (ValueError, KeyError, TypeError, struct.error)


@dataclass(frozen=True, slots=True)
class Installed:
    """`identity` is what analyses name it by, name@sha256; `header` as `ml.checkpoint` wrote it."""

    identity: str
    sha256: str
    size_bytes: int
    header: dict[str, Any]


def installed() -> list[Installed]:
    """Those that a worker listens with. Raises OSError, or one of DAMAGED."""
    path = Path(settings.CHECKPOINT)
    facts = path.stat()
    return [_read(path, facts.st_mtime_ns, facts.st_size)]


@lru_cache(maxsize=8)
def _read(path: Path, modified_ns: int, size_bytes: int) -> Installed:
    """Hashes the whole file, so once for each that is put there."""
    header = read_header(path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Installed(f"{path.stem}@{sha256[:12]}", sha256, size_bytes, header)


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
    return json.loads(header["__metadata__"]["sonoscope"])
