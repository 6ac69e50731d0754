"""Frame headers of MPEG audio (layers I to III, ISO/IEC 11172-3), ADTS (ISO/IEC 13818-7) and AC-3
(ATSC A/52)."""

from typing import BinaryIO

# Bit rates in kbit/s by (MPEG-1 or not, layer), for the indices 1 to 14.
_KBITS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = (44_100, 48_000, 32_000)
_VERSION_1, _VERSION_2_5 = 3, 0

# Where a decoder may find the first frame after other data.
SEARCH_BYTES = 1 << 18
# So many frames in a row are no coincidence.
FRAMES_IN_A_ROW = 4
HEADER_BYTES = 7


def is_adts(head: bytes) -> bool:
    """Return whether the bytes begin like an ADTS frame rather than MPEG audio."""
    return len(head) >= 2 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def frame_bytes(head: bytes) -> int | None:
    """Return the size of the frame that begins with `head`, or None if it is no frame header."""
    if len(head) < HEADER_BYTES or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if is_adts(head):
        size = (head[3] & 0x03) << 11 | head[4] << 3 | head[5] >> 5
        return size if head[2] >> 2 & 0x0F < 13 and size > HEADER_BYTES else None
    version, layer = head[1] >> 3 & 0x03, 4 - (head[1] >> 1 & 0x03)
    kbits_index, rate_index = head[2] >> 4, head[2] >> 2 & 0x03
    if version == 1 or layer == 4 or kbits_index in (0, 15) or rate_index == 3:
        return None
    mpeg1 = version == _VERSION_1
    rate_hz = _rate_hz(version, rate_index)
    bit_rate = 1000 * _KBITS[mpeg1, layer][kbits_index - 1]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12 * bit_rate // rate_hz + padding) * 4
    samples = 576 if layer == 3 and not mpeg1 else 1152
    return samples // 8 * bit_rate // rate_hz + padding


def _rate_hz(version: int, index: int) -> int:
    return _RATES_HZ[index] // (1 if version == _VERSION_1 else 4 if version == _VERSION_2_5 else 2)


def sample_rate(head: bytes) -> int | None:
    """Return the rate in Hz of the MPEG audio frame that begins with `head`, or None."""
    if is_adts(head) or frame_bytes(head) is None:
        return None
    return _rate_hz(head[1] >> 3 & 0x03, head[2] >> 2 & 0x03)


_AC3_KBITS = (
    32,
    40,
    48,
    56,
    64,
    80,
    96,
    112,
    128,
    160,
    192,
    224,
    256,
    320,
    384,
    448,
    512,
    576,
    640,
)


def ac3_frame_bytes(head: bytes) -> int | None:
    """Return the size of the AC-3 or E-AC-3 frame that begins with `head`, or None."""
    if len(head) < HEADER_BYTES or head[:2] != b"\x0b\x77":
        return None
    if head[5] >> 3 > 10:  # E-AC-3
        return 2 * ((head[2] & 0x07) << 8 | head[3]) + 2
    rate, size = head[4] >> 6, head[4] & 0x3F
    if rate == 3 or size >= 2 * len(_AC3_KBITS):
        return None
    kbits = _AC3_KBITS[size // 2]
    words = (2 * kbits, kbits * 320 // 147 + (size & 1), 3 * kbits)[rate]
    return 2 * words


def is_run(file: BinaryIO, start: int, frames: int) -> bool:
    """Return whether so many frames follow each other at `start`, fewer only at the file's end."""
    first: bytes | None = None
    for number in range(frames):
        file.seek(start)
        head = file.read(HEADER_BYTES)
        if number and not head:
            return number > 1
        size = frame_bytes(head)
        # The layer, and what else does not change within a stream.
        if size is None or (first and head[1] & 0xFE != first[1] & 0xFE):
            return False
        first = first or head
        start += size
    return True


def find_frames(file: BinaryIO, start: int) -> int | None:
    """Return the offset of the first run of frames at or shortly after `start`, or None."""
    file.seek(start)
    data = file.read(SEARCH_BYTES)
    place = data.find(0xFF)
    while place >= 0:
        head = data[place : place + HEADER_BYTES]
        if frame_bytes(head) and is_run(file, start + place, FRAMES_IN_A_ROW):
            return start + place
        place = data.find(0xFF, place + 1)
    return None
