"""Read from a file's metadata when its recording starts.

The bytes are untrusted. Damaged or implausible metadata is ignored: it says nothing about the
sound. Sources: GUANO specification 1.0; Wildlife Acoustics WAMD; EBU Tech 3285 (BWF); iXML 1.61;
ISO/IEC 14496-12 (MP4); ID3v2.3 and 2.4; RFC 9639 (FLAC).
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import BinaryIO, Literal

from ml.audio.file_views import Bytes, part
from ml.clock_time import SOURCES, ZONE, RecordingStart, from_match, is_plausible, parse

# Chunks that are looked at, those that are read, and the bytes read of each.
MAX_CHUNKS, MAX_READ, MAX_CHUNK_BYTES = 1000, 20, 262_144

UNWRITTEN = 0xFFFFFFFF
W64_HEADER_BYTES, W64_CHUNK_BYTES = 40, 24
FLAC_APPLICATION, FLAC_COMMENT = 2, 4
MP4_EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
WAMD_TIMESTAMP = 5
BEXT_DATE, BEXT_END = 320, 338

# EBU Tech 3285 allows several separators.
BWF_TIME = re.compile(
    r"(?P<year>\d{4})[-_:. /](?P<month>\d\d)[-_:. /](?P<day>\d\d)"
    r"(?P<hour>\d\d)[-_:. /](?P<minute>\d\d)[-_:. /](?P<second>\d\d)",
    re.ASCII,
)
IXML_FIELD = r"<BWF_ORIGINATION_{}>\s*([^<\s]{{8,10}})\s*<"
IXML_DATE, IXML_TIME = (re.compile(IXML_FIELD.format(name)) for name in ("DATE", "TIME"))
AUDIOMOTH = re.compile(
    r"Recorded at (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d+))? "
    rf"(?P<day>\d\d)/(?P<month>\d\d)/(?P<year>\d{{4}}) \(UTC{ZONE}?\) by AudioMoth",
    re.ASCII,
)
# Frames of a tag that may contain the time, none longer than 255 bytes.
ID3_FRAME = re.compile(rb"(TDRC|TDRL|TYER|TDAT|TIME)\0\0\0(.)..", re.DOTALL)
NOT_IN_TIME = re.compile(rb"[^0-9:TZ .+-]")

Chunks = Iterator[tuple[bytes, bytes]]
Order = Literal["big", "little"]


def read(file: Bytes, name: str, start: int) -> RecordingStart | None:
    """Return the start of a recording from the best of its metadata, or None.

    Parameters
    ----------
    name : str
        The format.
    start : int
        Offset of the format's first byte; ID3 tags may precede it.
    """
    found: dict[str, datetime] = {}
    for kind, data in islice(_chunks(file, name, start), MAX_READ):
        source, reader = READERS[kind]
        if (time := reader(data)) is not None:
            found.setdefault(source, time)
    best = next((source for source in SOURCES if source in found), None)
    return RecordingStart(found[best], best) if best else None


# --- containers ---------------------------------------------------------------------------


def _chunks(file: Bytes, name: str, start: int) -> Chunks:
    """Yield the name and the first bytes of each chunk that READERS has."""
    if start:
        file.seek(0)
        yield b"id3 ", file.read(min(start, MAX_CHUNK_BYTES))
    walks: dict[str, Callable[[BinaryIO], Chunks]] = {
        "WAV": _riff,
        "AIFF": _riff,
        "W64": _w64,
        "FLAC": _flac,
        "MP4": _mp4,
    }
    if name in walks:
        inside = part(file, start)
        inside.seek(0)
        yield from walks[name](inside)


def _riff(file: BinaryIO) -> Chunks:
    head = file.read(12)
    order: Order = "big" if head[:4] in (b"RIFX", b"FORM") else "little"
    place, data_bytes = 12, 0
    for _ in range(MAX_CHUNKS):
        if file.seek(place) < 0 or len(chunk := file.read(8)) < 8:
            return
        kind, size = chunk[:4].lower(), int.from_bytes(chunk[4:], order)
        if kind == b"ds64":
            data_bytes = int.from_bytes(file.read(16)[8:], "little")
        if kind == b"data" and size == UNWRITTEN:
            size = data_bytes
        if kind in READERS:
            yield kind, file.read(min(size, MAX_CHUNK_BYTES))
        place += 8 + size + size % 2


def _w64(file: BinaryIO) -> Chunks:
    """Yield the chunks of a W64. Their sizes include the header, and are padded to 8 bytes."""
    place = W64_HEADER_BYTES
    for _ in range(MAX_CHUNKS):
        if file.seek(place) < 0 or len(chunk := file.read(W64_CHUNK_BYTES)) < W64_CHUNK_BYTES:
            return
        kind, size = chunk[:4], int.from_bytes(chunk[16:], "little")
        if size < W64_CHUNK_BYTES:
            return
        if kind in READERS:
            yield kind, file.read(min(size - W64_CHUNK_BYTES, MAX_CHUNK_BYTES))
        place += -(-size // 8) * 8


def _flac(file: BinaryIO) -> Chunks:
    """Yield the comment, and the chunks of the WAV that `flac --keep-foreign-metadata` kept."""
    place, is_last = 4, False
    for _ in range(MAX_CHUNKS):
        if is_last or file.seek(place) < 0 or len(head := file.read(4)) < 4:
            return
        is_last, kind, size = head[0] >= 0x80, head[0] & 0x7F, int.from_bytes(head[1:], "big")
        if kind == FLAC_COMMENT:
            yield b"vorb", file.read(min(size, MAX_CHUNK_BYTES))
        if kind == FLAC_APPLICATION:
            data = file.read(min(size, MAX_CHUNK_BYTES))
            if data[:4] == b"riff" and data[4:8].lower() in READERS:
                yield data[4:8].lower(), data[12:]
        place += 4 + size


def _mp4(file: BinaryIO) -> Chunks:
    """Yield the header of the movie, which is in the box `moov`."""
    place = 0
    for _ in range(MAX_CHUNKS):
        if file.seek(place) < 0 or len(head := file.read(8)) < 8:
            return
        kind, size, header_bytes = head[4:], int.from_bytes(head[:4], "big"), 8
        if size == 1:  # the actual size follows
            size, header_bytes = int.from_bytes(file.read(8), "big"), 16
        if kind == b"mvhd":
            yield kind, file.read(20)
            return
        if kind == b"moov":
            size = header_bytes
        if size < header_bytes:
            return
        place += size


# --- kinds of metadata --------------------------------------------------------------------


def _guano(data: bytes) -> datetime | None:
    for line in data.decode(errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "Timestamp":
            return parse(value.strip("\0 \t"))
    return None


def _wamd(data: bytes) -> datetime | None:
    place = 0
    while place + 6 <= len(data):
        kind = int.from_bytes(data[place : place + 2], "little")
        end = place + 6 + int.from_bytes(data[place + 2 : place + 6], "little")
        if kind == WAMD_TIMESTAMP:
            return parse(data[place + 6 : end].decode(errors="replace").strip("\0 "))
        place = end
    return None


def _bext(data: bytes) -> datetime | None:
    return from_match(BWF_TIME.fullmatch(data[BEXT_DATE:BEXT_END].decode("latin-1")))


def _ixml(data: bytes) -> datetime | None:
    text = data.decode(errors="replace")
    date, time = IXML_DATE.search(text), IXML_TIME.search(text)
    return from_match(BWF_TIME.fullmatch(date[1] + time[1])) if date and time else None


def _audiomoth(data: bytes) -> datetime | None:
    """Read the comment of an AudioMoth, which states the zone. Without an offset it is UTC."""
    match = AUDIOMOTH.search(data.decode("latin-1"))
    time = from_match(match)
    return time.replace(tzinfo=time.tzinfo or UTC) if time else None


def _id3(data: bytes) -> datetime | None:
    """Read an ID3v2 tag.

    ID3v2.4 demands UTC, but most programs write the local time, so the zone is unknown unless it is
    stated. ID3v2.3 has the year, the day (ddmm) and the time (hhmm) in three frames.
    """
    if data[:3] != b"ID3":
        return None
    found: dict[bytes, str] = {}
    for match in ID3_FRAME.finditer(data):
        text = NOT_IN_TIME.sub(b"", data[match.end() : match.end() + match[2][0]])
        found.setdefault(match[1], text.decode())
    year, date, time = (found.get(name, "") for name in (b"TYER", b"TDAT", b"TIME"))
    older = f"{year}-{date[2:]}-{date[:2]}T{time[:2]}:{time[2:]}"
    times = (parse(found.get(b"TDRC", "")), parse(found.get(b"TDRL", "")), parse(older))
    return next(filter(None, times), None)


def _vorbis(data: bytes) -> datetime | None:
    """Read a Vorbis comment: a vendor, then the fields, each after its length."""
    place = 8 + int.from_bytes(data[:4], "little")
    while place + 4 <= len(data):
        end = place + 4 + int.from_bytes(data[place : place + 4], "little")
        key, _, value = data[place + 4 : end].partition(b"=")
        if key.upper() == b"DATE":
            return parse(value.decode(errors="replace"))
        place = end
    return None


def _mvhd(data: bytes) -> datetime | None:
    """Read the creation time in seconds, in 32 or 64 bits; 0 means unknown."""
    seconds = int.from_bytes(data[4:12] if data[:1] == b"\1" else data[4:8], "big")
    try:
        time = MP4_EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None
    return time if is_plausible(time) else None


# By the chunk's name in lower case; `vorb` stands for a Vorbis comment.
READERS: dict[bytes, tuple[str, Callable[[bytes], datetime | None]]] = {
    b"guan": ("guano", _guano),
    b"wamd": ("wamd", _wamd),
    b"list": ("comment", _audiomoth),
    b"ixml": ("ixml", _ixml),
    b"bext": ("bwf", _bext),
    b"mvhd": ("mp4", _mvhd),
    b"vorb": ("vorbis", _vorbis),
    b"id3 ": ("id3", _id3),
}
