"""Bytes → what a file is and how long it promises to be. Names are never asked."""

import io
import os
from typing import BinaryIO

FORMATS_READ = "WAV, FLAC, OGG, Opus, MP3, AIFF, M4A, MP4, AAC, WebM, WMA or AMR"

# What FFmpeg reads, by its name for it; libsndfile reads the rest. MP3 is here because
# libsndfile guesses the length of one without a Xing header, and stops there.
AV_FORMATS = {
    "MP3": "mp3",
    "MP4": "mov",
    "WebM": "matroska",
    "WMA": "asf",
    "AMR": "amr",
    "AAC": "aac",
}


def sniff(file: BinaryIO) -> str | None:
    """The format's name by its first bytes, or None. Leaves `file` at its start."""
    start = _after_id3(file)
    name = _by_magic(file.read(16))
    file.seek(0)
    if start:
        # A tag may stand before MP3, AAC or FLAC.
        return name if name in ("AAC", "FLAC") else "MP3"
    return name


def _after_id3(file: BinaryIO) -> int:
    """Where the sound starts. Leaves `file` there."""
    head = file.read(10)
    start = 0
    if head[:3] == b"ID3" and len(head) == 10:
        # The tag's length is four 7-bit bytes.
        length = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0)))
        start = 10 + length
    return file.seek(start)


def _by_magic(head: bytes) -> str | None:
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return "WAV"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF"
    if head[:4] == b"fLaC":
        return "FLAC"
    if head[:4] == b"OggS":
        return "OGG"
    if head[4:8] == b"ftyp":
        return "MP4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "WebM"
    if head[:4] == b"\x30\x26\xb2\x75":
        return "WMA"
    if head[:5] == b"#!AMR":
        return "AMR"
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        layer = head[1] & 0x06
        if head[1] & 0xF6 == 0xF0:
            return "AAC"
        if layer in (0x02, 0x04):  # MPEG audio layer III or II
            return "MP3"
    return None


# --- what it promises ---------------------------------------------------------------------


def declared_frames(file: BinaryIO, name: str) -> int | None:
    """Frames by the file's own header. Decoders quietly trust the end of the file instead.

    Leaves `file` at its start.
    """
    readers = {"WAV": _wav_frames, "AIFF": _aiff_frames, "MP3": _mp3_frames}
    try:
        return readers[name](file) if name in readers else None
    finally:
        file.seek(0)


def _wav_frames(file: BinaryIO) -> int | None:
    head = file.read(12)
    order = "big" if head[:4] == b"RIFX" else "little"
    frame_bytes = 0
    while len(chunk := file.read(8)) == 8:
        size = int.from_bytes(chunk[4:8], order)
        if chunk[:4] == b"data":
            # Recorders that stream write 0 or all ones and never come back to correct it.
            if head[:4] == b"RF64" or size in (0, 0xFFFFFFFF) or not frame_bytes:
                return None
            return size // frame_bytes
        after = file.tell() + size + size % 2
        if chunk[:4] == b"fmt ":
            frame_bytes = int.from_bytes(file.read(14)[12:14], order)
        file.seek(after)
    return None


def _aiff_frames(file: BinaryIO) -> int | None:
    file.seek(12)
    while len(chunk := file.read(8)) == 8:
        size = int.from_bytes(chunk[4:8], "big")
        if chunk[:4] == b"COMM":
            return int.from_bytes(file.read(6)[2:6], "big") or None
        file.seek(size + size % 2, io.SEEK_CUR)
    return None


def _mp3_frames(file: BinaryIO) -> int | None:
    """As counted in the Xing (or Info) header, which stands in the first MPEG frame."""
    _after_id3(file)
    head = file.read(64)
    if _by_magic(head) != "MP3":
        return None
    mpeg1, mono = head[1] & 0x08, head[3:4] >= b"\xc0"
    header = head[4 + ((17 if mono else 32) if mpeg1 else (9 if mono else 17)) :]
    if header[:4] not in (b"Xing", b"Info") or not header[7] & 1:
        return None
    return int.from_bytes(header[8:12], "big") * (1152 if mpeg1 else 576) or None


def stops_inside_a_page(file: BinaryIO) -> bool:
    """Whether an Ogg file was cut. Leaves `file` at its start."""
    size = os.fstat(file.fileno()).st_size
    end = 0
    while len(head := file.read(27)) == 27 and head[:4] == b"OggS":
        end = file.tell() + head[26] + sum(file.read(head[26]))
        file.seek(end)
    file.seek(0)
    return end > size
