"""Detect a file's format and declared length from its bytes. File names are ignored."""

import io
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

FORMATS_READ = "WAV, FLAC, OGG, Opus, MP3, AIFF, M4A, MP4, AAC, WebM, WMA or AMR"

# The formats that FFmpeg reads, with FFmpeg's names; libsndfile reads the others. MP3 is here
# because libsndfile guesses the length of a file without a Xing header, and stops there.
AV_FORMATS = {
    "MP3": "mp3",
    "MP4": "mov",
    "WebM": "matroska",
    "WMA": "asf",
    "AMR": "amr",
    "AAC": "aac",
}

# The first bytes of the formats that can be identified by them alone.
MAGIC = {
    b"fLaC": "FLAC",
    b"OggS": "OGG",
    b"\x1aE\xdf\xa3": "WebM",
    b"\x30\x26\xb2\x75": "WMA",
    b"#!AMR": "AMR",
}

# The encodings that FFmpeg may decode, or probe when it opens a file. It supports hundreds, image
# codecs among them, and each is code that an upload could reach.
AV_CODECS = frozenset((
    "mp3float", "mp2float", "mp1float", "aac", "aac_latm", "alac", "flac", "opus", "vorbis",
    "ac3", "eac3", "wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice", "amrnb", "amrwb",
    "pcm_alaw", "pcm_mulaw", "pcm_u8", "pcm_s8",
    "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be",
    "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be",
))  # fmt: skip

# A WAV that declares at least this size was streamed: SoX writes this value, others all ones.
HUGE = 0x7FFFF000


# Editors that add a tag before an existing one leave two or three. Some files consist of tags.
MAX_TAGS = 100


class Bytes(io.BufferedReader):
    """A file whose `seek` returns -1 for an impossible position, as decoders expect."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


def sniff(file: BinaryIO) -> str | None:
    """Return the name of the format that the first bytes indicate, or None if they indicate none.

    Leaves `file` at its start.
    """
    start = _after_id3(file)
    name = _by_magic(file.read(16))
    file.seek(0)
    if start:
        # A tag may precede MP3, AAC or FLAC.
        return name if name in ("AAC", "FLAC") else "MP3"
    return name


def _after_id3(file: BinaryIO) -> int:
    """Return the offset of the first byte after the ID3 tags. Leaves `file` there."""
    start = 0
    for _ in range(MAX_TAGS):
        head = file.read(10)
        if head[:3] != b"ID3" or len(head) < 10:
            break
        # A tag's length is four 7-bit bytes.
        shifts = zip(head[6:], (21, 14, 7, 0), strict=True)
        length = sum((byte & 0x7F) << shift for byte, shift in shifts)
        start = file.seek(start + 10 + length)
    return file.seek(start)


def _by_magic(head: bytes) -> str | None:
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return "WAV"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF"
    if head[4:8] == b"ftyp":
        return "MP4"
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        if head[1] & 0xF6 == 0xF0:
            return "AAC"
        if head[1] & 0x06 in (0x02, 0x04):  # MPEG audio layer III or II
            return "MP3"
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)


# --- declared length ----------------------------------------------------------------------


def declared_frames(file: BinaryIO, name: str) -> int | None:
    """Return the number of frames that the file's header declares, or None if it declares none.

    Decoders do not check it: they stop silently where the file ends. Leaves `file` at its start.
    """
    readers = {"WAV": _wav_frames, "AIFF": _aiff_frames, "MP3": _mp3_frames}
    try:
        return readers[name](file) if name in readers else None
    finally:
        file.seek(0)


def _wav_frames(file: BinaryIO) -> int | None:
    data = _wav_data(file)
    if data is None or not data.frame_bytes or data.is_open:
        return None
    return data.size // data.frame_bytes


@dataclass(frozen=True, slots=True)
class _WavData:
    """The data chunk. `is_open` means that its size was never filled in after streaming."""

    start: int
    size: int
    frame_bytes: int
    is_open: bool


def _wav_data(file: BinaryIO) -> _WavData | None:
    head = file.read(12)
    order: Literal["big", "little"] = "big" if head[:4] == b"RIFX" else "little"
    riff_end = 8 + int.from_bytes(head[4:8], order)
    frame_bytes = 0
    while len(chunk := file.read(8)) == 8:
        start, size = file.tell(), int.from_bytes(chunk[4:8], order)
        if chunk[:4] == b"data":
            never_written = size == 0 and not start < riff_end < HUGE
            is_open = never_written or size >= HUGE or head[:4] == b"RF64"
            return _WavData(start, size, frame_bytes, is_open)
        if chunk[:4] == b"fmt ":
            frame_bytes = int.from_bytes(file.read(14)[12:14], order)
        file.seek(start + size + size % 2)
    return None


def with_data_size(file: Bytes) -> Bytes:
    """Return the WAV with the size of its data filled in if the recorder left it at 0."""
    data = _wav_data(file)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if data is None or data.size or not data.is_open:
        return file
    return _Patched(file, data.start - 4, (size - data.start).to_bytes(4, "little"))


class _Patched(Bytes):
    """A file with some bytes replaced. It may be large, so nothing is copied."""

    def __init__(self, file: Bytes, place: int, patch: bytes) -> None:
        super().__init__(file.raw)
        self._place, self._patch = place, patch

    def readinto(self, buffer: Any, /) -> int:
        start = self.tell()
        count = super().readinto(buffer)
        view = memoryview(buffer).cast("B")
        for offset, byte in enumerate(self._patch, self._place - start):
            if 0 <= offset < count:
                view[offset] = byte
        return count


def _aiff_frames(file: BinaryIO) -> int | None:
    file.seek(12)
    while len(chunk := file.read(8)) == 8:
        size = int.from_bytes(chunk[4:8], "big")
        if chunk[:4] == b"COMM":
            return int.from_bytes(file.read(6)[2:6], "big") or None
        file.seek(size + size % 2, io.SEEK_CUR)
    return None


def _mp3_frames(file: BinaryIO) -> int | None:
    """Return the count in the Xing (or Info) header, which is in the first MPEG frame."""
    _after_id3(file)
    head = file.read(64)
    if _by_magic(head) != "MP3":
        return None
    mpeg1, mono = head[1] & 0x08, head[3:4] >= b"\xc0"
    header = head[4 + ((17 if mono else 32) if mpeg1 else (9 if mono else 17)) :]
    if header[:4] not in (b"Xing", b"Info") or len(header) < 12 or not header[7] & 1:
        return None
    return int.from_bytes(header[8:12], "big") * (1152 if mpeg1 else 576) or None


# --- truncation ---------------------------------------------------------------------------

BOXES = frozenset(b"ftyp moov mdat moof sidx styp mfra free skip wide udta meta uuid".split())


def is_cut(file: BinaryIO, name: str) -> bool:
    """Return whether the file ends inside one of its parts. Leaves `file` at its start."""
    ends = {"OGG": _ogg_end, "MP4": _mp4_end}
    end = ends[name](file) if name in ends else 0
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return end > size


def _ogg_end(file: BinaryIO) -> int:
    """Return the offset at which the last page should end."""
    end = 0
    while len(head := file.read(27)) == 27 and head[:4] == b"OggS":
        end = file.tell() + head[26] + sum(file.read(head[26]))
        file.seek(end)
    return end


def _mp4_end(file: BinaryIO) -> int:
    """Return the offset at which the last box should end."""
    end = 0
    while len(head := file.read(16)) >= 8 and head[4:8] in BOXES:
        size = int.from_bytes(head[:4], "big")
        if size == 1:  # the actual size follows, in eight bytes
            size = int.from_bytes(head[8:], "big")
        if size < 8:  # 0: the box extends to the end of the file
            break
        end += size
        if file.seek(end) < 0:
            break
    return end
