"""Read from a file's bytes what decoders do not check: its declared length and its last part."""

import io
from dataclasses import dataclass
from typing import BinaryIO

from ml.audio import wav
from ml.audio.formats import TS_SYNC, ts_packets

# --- declared length ----------------------------------------------------------------------


def declared_frames(file: BinaryIO, name: str) -> int | None:
    """Return the number of frames that the file's header declares, or None if it declares none.

    Decoders do not check it: they stop silently where the file ends. Leaves `file` at its start.
    """
    readers = {
        "WAV": wav.declared_frames,
        "AIFF": _aiff_frames,
        "MP3": _mp3_frames,
        "FLAC": _flac_frames,
        "WavPack": _wavpack_frames,
    }
    file.seek(0)
    try:
        return readers[name](file) if name in readers else None
    finally:
        file.seek(0)


def _aiff_frames(file: BinaryIO) -> int | None:
    file.seek(12)
    while len(chunk := file.read(8)) == 8:
        size = int.from_bytes(chunk[4:8], "big")
        if chunk[:4] == b"COMM":
            return int.from_bytes(file.read(6)[2:6], "big") or None
        file.seek(size + size % 2, io.SEEK_CUR)
    return None


# Enough for the Xing header and the LAME tag, and where in them the added samples are.
XING_BYTES, LAME_DELAY = 192, 141


def _mp3_frames(file: BinaryIO) -> int | None:
    """Return the count in the Xing (or Info) header, which is in the first MPEG frame.

    Without what the encoder added before and after the sound, if a LAME tag follows and says so:
    FFmpeg leaves it out.
    """
    head = file.read(XING_BYTES)
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    mpeg1, mono = head[1] & 0x08, head[3:4] >= b"\xc0"
    header = head[4 + ((17 if mono else 32) if mpeg1 else (9 if mono else 17)) :]
    if header[:4] not in (b"Xing", b"Info") or len(header) < 12 or not header[7] & 1:
        return None
    frames = int.from_bytes(header[8:12], "big") * (1152 if mpeg1 else 576)
    # Two numbers of 12 bits, where they are if the header is complete.
    is_complete = header[7] & 0x0F == 0x0F
    added = int.from_bytes(header[LAME_DELAY : LAME_DELAY + 3], "big") if is_complete else 0
    return max(0, frames - (added >> 12) - (added & 0xFFF)) or None


def _flac_frames(file: BinaryIO) -> int | None:
    """Return the 36-bit count in the STREAMINFO block, which comes first."""
    head = file.read(26)
    if len(head) < 26 or head[4] & 0x7F:
        return None
    return int.from_bytes(head[21:26], "big") & (1 << 36) - 1 or None


def flac_bits(file: BinaryIO) -> int:
    """Return the bits per sample in the STREAMINFO block; 0 if it is missing."""
    file.seek(20)
    bits = int.from_bytes(file.read(2), "big") >> 4 & 0x1F
    file.seek(0)
    return bits + 1 if bits else 0


def _wavpack_frames(file: BinaryIO) -> int | None:
    """Return the 40-bit count of the first block; -1 means unknown."""
    head = file.read(16)
    if len(head) < 16 or head[12:16] == b"\xff\xff\xff\xff":
        return None
    return int.from_bytes(head[12:16], "little") + (head[11] << 32) - head[11] or None


# --- truncation ---------------------------------------------------------------------------

BOXES = frozenset(b"ftyp moov mdat moof sidx styp mfra free skip wide udta meta uuid".split())
W64_HEADER_BYTES, W64_CHUNK_BYTES = 40, 24
SEGMENT = b"\x18S\x80g"
WEBM_DURATION, WEBM_INFO_BYTES = b"\x44\x89", 4096
ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_HEADER_BYTES = 65_536
# By the type of a frame (3GPP TS 26.101 and 26.201).
AMR_NB_BYTES = (13, 14, 16, 18, 20, 21, 27, 32, 6, 1, 1, 1, 1, 1, 1, 1)
AMR_WB_BYTES = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 1, 1, 1, 1, 1, 1)
MAX_AMR_FRAMES = 500_000


def is_cut(file: BinaryIO, name: str) -> bool:
    """Return whether the file ends inside one of its parts. Leaves `file` at its start."""
    ends = {"MP4": _mp4_end, "AVI": _avi_end, "CAF": _caf_end, "W64": _w64_end, "AU": _au_end}
    file.seek(0)
    end = ends[name](file) if name in ends else 0
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return end > size


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


def _avi_end(file: BinaryIO) -> int:
    size = int.from_bytes(file.read(8)[4:], "little")
    return 8 + size if size < wav.HUGE else 0


def _caf_end(file: BinaryIO) -> int:
    """Return the end of the data chunk; a size of -1 means up to the end of the file."""
    end = 8
    while file.seek(end) >= 0 and len(head := file.read(12)) == 12:
        size = int.from_bytes(head[4:], "big", signed=True)
        if size < 0:
            break
        end += 12 + size
        if head[:4] == b"data":
            return end
    return 0


def _w64_end(file: BinaryIO) -> int:
    """Return the end of the data chunk. Sizes include the header of 24 bytes."""
    end = W64_HEADER_BYTES
    while file.seek(end) >= 0 and len(head := file.read(W64_CHUNK_BYTES)) == W64_CHUNK_BYTES:
        size = int.from_bytes(head[16:], "little")
        if size < W64_CHUNK_BYTES:
            break
        if head[:4] == b"data":
            return end + size
        end += -(-size // 8) * 8
    return 0


def _au_end(file: BinaryIO) -> int:
    head = file.read(12)
    start, size = int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:], "big")
    return start + size if size < wav.HUGE else 0


def is_short(file: BinaryIO, name: str) -> bool:
    """Return whether the end of a file is missing that can be decoded up to there.

    Leaves `file` at its start.
    """
    ends = {"WebM": _webm_end, "WMA": _asf_end, "MPEG-TS": _ts_end, "AMR": _amr_end}
    file.seek(0)
    end = ends[name](file) if name in ends else 0
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return end > size


def _webm_end(file: BinaryIO) -> int:
    """Return the end of the segment, which comes second; 0 if it has no size."""
    for _ in range(2):
        head = file.read(12)
        if len(head) < 12:
            break
        # The length of an element's id and size is in their leading zeros.
        id_bytes = 9 - head[0].bit_length()
        size_bytes = 9 - head[id_bytes].bit_length() if id_bytes <= 4 else 9
        if size_bytes > 8:
            break
        size = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big")
        size &= (1 << 7 * size_bytes) - 1
        end = file.seek(file.tell() - 12 + id_bytes + size_bytes + size)
        if head.startswith(SEGMENT):
            return 0 if size == (1 << 7 * size_bytes) - 1 else end
    return 0


def has_webm_duration(file: BinaryIO) -> bool:
    """Return whether the file states its duration, near its start. Leaves `file` at its start."""
    file.seek(0)
    head = file.read(WEBM_INFO_BYTES)
    file.seek(0)
    return any(WEBM_DURATION + size in head for size in (b"\x84", b"\x88"))


def _asf_end(file: BinaryIO) -> int:
    """Return the size of the file that the header states; 0 for a broadcast."""
    head = file.read(ASF_HEADER_BYTES)
    place = head.find(ASF_FILE_PROPERTIES)
    return int.from_bytes(head[place + 40 : place + 48], "little") if place >= 0 else 0


def _amr_end(file: BinaryIO) -> int:
    """Return the end of the last frame, whose first byte says how long it is."""
    is_wide = file.read(9).startswith(b"#!AMR-WB")
    frame_bytes = AMR_WB_BYTES if is_wide else AMR_NB_BYTES
    end = 9 if is_wide else 6
    for _ in range(MAX_AMR_FRAMES):
        file.seek(end)
        head = file.read(1)
        if not head:
            break
        end += frame_bytes[head[0] >> 3 & 0x0F]
    return end


def _ts_end(file: BinaryIO) -> int:
    """Return the end of the last packet, which has a certain byte at its start or after a time."""
    layout = ts_packets(file, 0)
    if layout is None:
        return 0
    packet_bytes, sync = layout
    size = file.seek(0, io.SEEK_END)
    start = size - size % packet_bytes
    file.seek(start + sync)
    is_packet = file.read(1) == TS_SYNC or start < size <= start + sync
    return start + packet_bytes if is_packet else 0


ID3V1_BYTES = 128


def has_id3v1(file: BinaryIO) -> bool:
    """Return whether the file ends with such a tag. Leaves `file` at its start."""
    found = file.seek(-ID3V1_BYTES, io.SEEK_END) >= 0 and file.read(3) == b"TAG"
    file.seek(0)
    return found


# --- Ogg ----------------------------------------------------------------------------------

FIRST_PAGE, LAST_PAGE = 2, 4
MAX_LINKS = 1000
PAGE_HEADER_BYTES = 27
# A page and its version.
PAGE = b"OggS\0"
# How often the next page is looked for, and in steps of how many bytes.
MAX_SEARCHES, SEARCH_BYTES = 1000, 65_536


@dataclass(frozen=True, slots=True)
class Ogg:
    """The structure of an Ogg file.

    Attributes
    ----------
    links : list of (int, int)
        Where each link begins and ends: a chained file has several, which are recordings of their
        own.
    end : int
        Where the last page should end.
    has_end : bool
        Whether the last page says that it is the last one.
    has_gaps : bool
        Whether there is something else between pages.
    """

    links: list[tuple[int, int]]
    end: int
    has_end: bool
    has_gaps: bool


def read_ogg(file: BinaryIO) -> Ogg:
    """Read the pages of at most MAX_LINKS + 1 links. Leaves `file` at its start."""
    links: list[tuple[int, int]] = []
    first, place, end, kind, begun, searches = 0, 0, 0, LAST_PAGE, False, 0
    size = file.seek(0, io.SEEK_END)
    while end != size and len(links) <= MAX_LINKS:
        file.seek(end)
        head = file.read(PAGE_HEADER_BYTES)
        start = end
        if len(head) < PAGE_HEADER_BYTES or not head.startswith(PAGE):
            # The length in the last page may be wrong.
            found = _next_page(file, place + PAGE_HEADER_BYTES) if searches < MAX_SEARCHES else None
            if found is None:
                break
            searches += 1
            start, end = found, min(end, found)
            file.seek(start)
            head = file.read(PAGE_HEADER_BYTES)
        kind = head[5]
        if kind & FIRST_PAGE and begun:
            links.append((first, end))
            first = start
        begun = not kind & FIRST_PAGE
        place = start
        end = file.tell() + head[26] + sum(file.read(head[26]))
    file.seek(0)
    # The decoder looks for the pages that were not looked for here.
    last = size if searches == MAX_SEARCHES else end
    return Ogg([*links, (first, last)], last, bool(kind & LAST_PAGE), searches > 0)


def _next_page(file: BinaryIO, start: int) -> int | None:
    """Return the offset of the next page with a whole header, or None."""
    while True:
        file.seek(start)
        data = file.read(SEARCH_BYTES)
        place = data.find(PAGE, 0, max(0, len(data) - PAGE_HEADER_BYTES + len(PAGE)))
        if place >= 0:
            return start + place
        if len(data) < SEARCH_BYTES:
            return None
        start += len(data) - PAGE_HEADER_BYTES + 1
