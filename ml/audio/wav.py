"""Read the header of a WAV, which may be wrong in ways that libsndfile does not check."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal

from ml.audio.file_views import Bytes

Order = Literal["big", "little"]

# A WAV that declares at least this size was streamed: SoX writes this value, others all ones.
HUGE = 0x7FFFF000
# WAV whose sizes have 64 bits.
LONG_WAV = (b"RF64", b"BW64")
# Chunks that programs write after the data, and how far from the end they are looked for.
LATE_CHUNK = re.compile(
    rb"LIST|id3 |ID3 |bext|iXML|axml|_PMX|cue |smpl|inst|plst|fact|PEAK|JUNK|junk|PAD |afsp|DISP"
    rb"|guan|wamd"
)
LATE_BYTES = 1 << 22
MAX_LATE_CHUNKS = 1000


def declared_frames(file: BinaryIO) -> int | None:
    """Return the number of frames that the header declares, or None if it declares none."""
    data = _read(file)
    if data is None or not data.frame_bytes:
        return None
    if not data.is_open:
        return data.size // data.frame_bytes
    is_cut = not data.size and file.seek(0, io.SEEK_END) < data.riff_end < HUGE
    return (data.riff_end - data.start) // data.frame_bytes if is_cut else None


@dataclass(frozen=True, slots=True)
class _Data:
    """The data chunk. `is_open` means that its size was never filled in after streaming."""

    start: int
    size: int
    frame_bytes: int
    is_open: bool
    riff_end: int
    order: Order


def _read(file: BinaryIO) -> _Data | None:
    head = file.read(12)
    order: Order = "big" if head[:4] == b"RIFX" else "little"
    riff_end = 8 + int.from_bytes(head[4:8], order)
    frame_bytes, long_size = 0, 0
    while len(chunk := file.read(8)) == 8:
        start, size = file.tell(), int.from_bytes(chunk[4:8], order)
        if chunk[:4] == b"data":
            if size == 0xFFFFFFFF and long_size:
                return _Data(start, long_size, frame_bytes, False, riff_end, order)
            # A RIFF that ends where the data begin was not filled in either.
            has_end = start < riff_end < HUGE
            never_written = not size and not (has_end and _are_chunks(file, start, riff_end, order))
            is_open = never_written or size >= HUGE or head[:4] in LONG_WAV
            return _Data(start, size, frame_bytes, is_open, riff_end, order)
        if chunk[:4] == b"fmt ":
            frame_bytes = int.from_bytes(file.read(14)[12:14], order)
        if chunk[:4] == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], "little")
        file.seek(start + size + size % 2)
    return None


def rest_frames(file: BinaryIO) -> int:
    """Return the frames that the bytes after a data chunk could be, without chunks and zeros.

    A recorder that was interrupted leaves a size that is too small. Leaves `file` at its start.
    """
    file.seek(0)
    data = _read(file)
    size = file.seek(0, io.SEEK_END)
    if data is None or data.is_open or not data.frame_bytes or data.start + data.size >= size:
        file.seek(0)
        return 0
    place = data.start + data.size
    # Some writers leave out the padding.
    file.seek(place)
    place += data.size % 2 if file.read(1) == b"\0" else 0
    for _ in range(MAX_LATE_CHUNKS):
        file.seek(place)
        chunk_bytes = _chunk_bytes(file.read(8), data.order)
        if chunk_bytes is None or place + chunk_bytes > size + 1:
            break
        place += chunk_bytes
    file.seek(place)
    is_sound = any(file.read(LATE_BYTES))
    file.seek(0)
    return max(0, size - place) // data.frame_bytes if is_sound else 0


def _are_chunks(file: BinaryIO, start: int, end: int, order: Order) -> bool:
    """Return whether whole chunks are between `start` and `end`, and nothing else."""
    while start < end:
        file.seek(start)
        chunk_bytes = _chunk_bytes(file.read(8), order)
        if chunk_bytes is None:
            return False
        start += chunk_bytes
    return start in (end, end + 1)


def _chunk_bytes(head: bytes, order: Order) -> int | None:
    """Return the size of the chunk that begins with `head`, with padding, or None if it is none.

    Some writers leave out the padding at the end of the file.
    """
    if len(head) < 8 or not (head[:4].isascii() and head[:4].decode().isprintable()):
        return None
    size = int.from_bytes(head[4:], order)
    return 8 + size + size % 2


def _sound_end(file: BinaryIO, data: _Data) -> int:
    """Return where the samples of an open data chunk end: before other chunks, if any follow."""
    size = file.seek(0, io.SEEK_END)
    end = data.riff_end if data.start < data.riff_end < size else size
    first = max(data.start, end - LATE_BYTES)
    file.seek(first)
    tail = file.read(end - first)
    # What is known to lead to no chunk, so that no file makes this slow.
    seen: set[int] = set()
    for found in LATE_CHUNK.finditer(tail):
        place = found.start()
        while place not in seen and (step := _chunk_bytes(tail[place : place + 8], data.order)):
            seen.add(place)
            place += step
        if place in (len(tail), len(tail) + 1):
            return first + found.start()
    return end


def patches(file: Bytes) -> Mapping[int, bytes]:
    """Return the bytes to replace in a WAV so that libsndfile reads it, by offset.

    A recorder may have left the size of the data open, and BW64 is RF64 by another name.
    """
    magic = file.read(4)
    replaced = {0: b"RF64"} if magic == b"BW64" else {}
    file.seek(0)
    data = _read(file)
    if data and data.is_open and (not data.size or data.size >= HUGE):
        end = _sound_end(file, data)
        # libsndfile reads to the end of the file if the size is too large, but not if it is 0, and
        # not if the size in an RF64 is 0.
        if magic in LONG_WAV:
            replaced[0] = b"RIFF"
        if magic in LONG_WAV or not data.size or end < file.seek(0, io.SEEK_END):
            replaced[data.start - 4] = (end - data.start).to_bytes(4, data.order)
    file.seek(0)
    return replaced
