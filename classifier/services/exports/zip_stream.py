"""Write a ZIP piece by piece, in the memory of one piece."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

PIECE_BYTES = 65_536
BLOCK_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a ZIP.

    Attributes
    ----------
    pieces : iterable of bytes
        The content.
    compress : bool
        False for content that is compressed already.
    """

    name: str
    pieces: Iterable[bytes]
    compress: bool = True


class _Sink(io.RawIOBase):
    """A write buffer for the archive; `taken` returns and clears what was written."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: Any) -> int:
        self.written += data
        return len(data)

    def taken(self) -> bytes:
        data = bytes(self.written)
        self.written.clear()
        return data


def zip_of(members: Iterable[Member]) -> Iterator[bytes]:
    """Yield a ZIP in pieces. Only the list of the members grows in memory."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for member in members:
            info = zipfile.ZipInfo(safe_name(member.name))
            info.compress_type = zipfile.ZIP_DEFLATED if member.compress else zipfile.ZIP_STORED
            with archive.open(info, "w", force_zip64=True) as file:
                for piece in member.pieces:
                    file.write(piece)
                    if len(sink.written) >= PIECE_BYTES:
                        yield sink.taken()
            if len(sink.written) >= PIECE_BYTES:
                yield sink.taken()
    yield sink.taken()


def safe_name(path: str) -> str:
    r"""Return a path for a member; `\` is escaped, because Windows reads it as a separator."""
    return path.replace("\\", "%5C")


def inside(folder: str, members: Iterable[Member]) -> Iterator[Member]:
    """Yield the members with their names in a folder."""
    for member in members:
        yield replace(member, name=f"{folder}/{member.name}")


def stored(name: str, path: Path) -> Iterator[Member]:
    """Yield a file on the disk as the member `name`, or nothing if it was deleted meanwhile."""
    try:
        source = path.open("rb")
    except FileNotFoundError:
        return
    with source:
        yield Member(name, iter(lambda: source.read(BLOCK_BYTES), b""), compress=False)
