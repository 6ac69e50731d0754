"""Read a file, or a part of it, as decoders expect it. Nothing is copied."""

import io
import os
from collections.abc import Mapping
from typing import Any


class Bytes(io.BufferedReader):
    """A file whose `seek` returns -1 for an impossible position, as decoders expect."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


def part(
    file: Bytes, start: int, end: int | None = None, patches: Mapping[int, bytes] | None = None
) -> Bytes:
    """Return a part of a file as a file of its own.

    Do not read from two parts of a file, or from a part and the file, at the same time.

    Parameters
    ----------
    start, end : int
        The first byte, and the one after the last; by default, the end of the file.
    patches : mapping of int to bytes
        Bytes to replace, by their offset in the part.
    """
    size = file.seek(0, io.SEEK_END)
    return Bytes(_Part(file, start, size if end is None else end, patches or {}))


class _Part(io.RawIOBase):
    def __init__(self, file: Bytes, start: int, end: int, patches: Mapping[int, bytes]) -> None:
        self._file, self._start, self._end, self._patches = file, start, end, patches
        self._place = start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        origin = {os.SEEK_SET: self._start, os.SEEK_CUR: self._place, os.SEEK_END: self._end}
        place = origin[whence] + offset
        if place < self._start:
            raise ValueError("a negative position")
        self._place = place
        return place - self._start

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        if self._file.seek(self._place) < 0:
            return 0
        count = self._file.readinto(view[: max(0, self._end - self._place)])
        for offset, patch in self._patches.items():
            for place, byte in enumerate(patch, self._start + offset - self._place):
                if 0 <= place < count:
                    view[place] = byte
        self._place += count
        return count
