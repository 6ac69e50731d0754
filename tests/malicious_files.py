"""Handcrafted hostile files: bombs, disguises, polyglots, joined files, false headers."""

import io
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from tests import fixtures
from tests.mutated_files import valid

# Names for uploads and for members of ZIPs.
NAMES = (
    "../../etc/passwd.wav", "..\\..\\windows\\win.ini", "/etc/passwd", "C:\\boot.wav", "con.wav",
    "NUL", "aux.mp3", "lpt1.flac", ".", "..", " ", "a" * 5000 + ".wav", "é" * 300, "ﷺ" * 200,
    "\u202egpj.wav", "\u0000.wav", "a\u0000b.wav", "a\nb.wav", "a\r\nSet-Cookie: x=1.wav",
    "\x1b[31mred",
    "<script>alert(1)</script>.wav", "'; DROP TABLE classifier_clip; --", "{{7*7}}",
    "%00%2e%2e%2f",
    "🎵" * 100, "\ud7ff\ue000", "\ufffe\uffff", "=cmd|' /C calc'!A0", "-rf", "~root",
    "a/" * 200 + "b",
    "trailing dot.", "trailing space ", "\u200b", "COM¹",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hostile:
    """A hostile file; `kind` says how it was made."""

    kind: str
    data: bytes


@cache
def handcrafted() -> list[Hostile]:
    return [*bombs(), *disguises(), *polyglots(), *joined(), *false_headers()]


def bombs() -> Iterator[Hostile]:
    """Yield small files that are large or slow to decode."""
    hour = fixtures.silence(1.0, 8000)
    yield Hostile("bomb: FLAC of silence", _long_silence("FLAC", 192_000, 8, 30))
    yield Hostile("bomb: FLAC of silence, eight channels, 655 kHz", _flac_rate(655_350))
    for form in ("FLAC", "MP3", "OGG", "Opus", "M4A", "WebM"):
        rate_hz = fixtures.RATES_HZ.get(form, 44_100)
        # The whole file repeated: 20 minutes where one is allowed.
        one = fixtures.encode(np.tile(fixtures.silence(1.0, rate_hz), 10), rate_hz, form)
        yield Hostile(f"bomb: {form} of silence, repeated", one * 120)
    flac = bytearray(fixtures.encode(hour, 8000, "FLAC"))
    flac[21:26] = b"\xff" * 5
    yield Hostile("bomb: FLAC that declares 2^36 samples", bytes(flac))
    wav = fixtures.encode(hour, 8000)
    for name, channels, rate_hz in (("many channels", 65_535, 44_100), ("high rate", 1, 2**32 - 1)):
        false = bytearray(wav)
        false[22:24], false[24:28] = struct.pack("<H", channels), struct.pack("<I", rate_hz)
        yield Hostile(f"bomb: WAV of {name}", bytes(false))
    yield Hostile("bomb: zeros", bytes(5_000_000))
    for name, unit in {
        "ID3 tags": b"ID3\x03\x00\x00\x00\x00\x00\x00",
        "Ogg pages": b"OggS" + bytes(23),
        "free boxes": b"\x00\x00\x00\x08free",
    }.items():
        yield Hostile(f"bomb: nothing but {name}", unit * 300_000)
    yield Hostile("bomb: WAV of empty chunks", wav[:12] + b"junk\0\0\0\0" * 300_000)
    # The sizes of RIFF and data are 0.
    streamed = wav[:4] + bytes(4) + wav[8:40] + bytes(4) + wav[44:]
    for name, unit in {"empty": b"LIST\0\0\0\0", "nested": b"LIST\4\0\0\0"}.items():
        tail = unit * 500_000 + b"x"
        yield Hostile(f"bomb: WAV of no length before {name} chunks", streamed + tail)
    yield Hostile("bomb: AIFF of empty chunks", b"FORM\0\0\xff\xffAIFF" + b"junk\0\0\0\0" * 300_000)
    yield Hostile("bomb: MP4 of nested boxes", _nested(5_000))
    short = fixtures.encode(fixtures.silence(0.02, 8_000), 8_000, "OGG")
    for count in (900, 5_000):
        yield Hostile(f"bomb: Ogg of {count} links", short * count)
    low, high = (
        fixtures.encode(fixtures.silence(0.05, rate_hz), rate_hz, "MP3 bare")
        for rate_hz in (22_050, 44_100)
    )
    yield Hostile("bomb: MP3 that changes its rate 1,000 times", (low + high) * 500)
    silent = [fixtures.silence(10.0, 48_000)] * 20
    yield Hostile("bomb: film of 20 silent tracks", fixtures.film(silent, "matroska"))
    for name, unit in {
        "frame headers": b"\xff\xfb\x90\x64",
        "bytes of all ones": b"\xff",
        "packets": b"\x47\x1f\xff\x10" + bytes(184),
        "program tables": b"\x47\x40\x00\x10\x00" + bytes(183),
        "chunks": b"RIFF\0\0\0\0AVI LIST\4\0\0\0hdrl",
        "blocks": b"wvpk\x18\0\0\0\x10\4" + bytes(22),
        "AC-3 headers": b"\x0b\x77\0\0\0\x40\0\0",
    }.items():
        yield Hostile(f"bomb: nothing but {name}", (unit * 1_000_000)[:3_000_000])
    yield Hostile("bomb: CAF of empty chunks", b"caff\0\1\0\0" + (b"free" + bytes(8)) * 300_000)
    yield Hostile("bomb: W64 of empty chunks", b"riff\x2e\x91\xcf\x11" + bytes(32) + b"junk"
                  + (bytes(12) + b"\x18" + bytes(7) + b"junk") * 100_000)  # fmt: skip
    yield Hostile("bomb: WebM of nested elements", b"\x1aE\xdf\xa3\x80" + b"\x18S\x80g\xff" * 9_000)


def _long_silence(form: str, rate_hz: int, channels: int, duration_s: int) -> bytes:
    return fixtures.encode(np.zeros((rate_hz * duration_s, channels), np.float32), rate_hz, form)


def _flac_rate(rate_hz: int) -> bytes:
    flac = bytearray(_long_silence("FLAC", 48_000, 8, 5))
    flac[18:20], flac[20] = (rate_hz >> 4).to_bytes(2, "big"), flac[20] & 0x0F | (rate_hz & 15) << 4
    return bytes(flac)


def _nested(depth: int) -> bytes:
    box = b""
    for _ in range(depth):
        box = struct.pack(">I", len(box) + 8) + b"moov" + box
    return b"\x00\x00\x00\x18ftypM4A " + bytes(12) + box


def disguises() -> Iterator[Hostile]:
    """Yield playlists that name other files and URLs, behind the first bytes of a sound."""
    named = ("/etc/passwd", "file:///etc/passwd", "http://localhost:1/x", "concat:a|b", "data:,x")
    magics = (
        b"",
        b"ID3\x03\x00\x00\x00\x00\x00\x00",
        b"\xff\xf1P\x80",
        b"\x1aE\xdf\xa3",
        b"#!AMR\n",
    )
    for target in named:
        lists = {
            "ffconcat": f"ffconcat version 1.0\nfile {target}\n",
            "M3U8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
            "PLS": f"[playlist]\nFile1={target}\nNumberOfEntries=1\n",
            "SDP": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns={target}\nm=audio 9 RTP/AVP 0\n",
            "DASH": f'<?xml version="1.0"?><MPD><Period><BaseURL>{target}</BaseURL></Period></MPD>',
        }
        for name, text in lists.items():
            for magic in magics:
                yield Hostile(f"disguise: {name} behind {magic[:3]!r}", magic + text.encode())
    reference = b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  "
    alias = b"rdrf" + bytes(4) + b"url " + struct.pack(">I", 12) + b"/etc/passwd\0"
    box = struct.pack(">I", len(alias) + 4) + alias
    for kind in (b"rmda", b"rmra", b"moov"):
        box = struct.pack(">I", len(box) + 8) + kind + box
    yield Hostile("disguise: QuickTime reference movie", reference + box)


def polyglots() -> Iterator[Hostile]:
    """Yield files that are valid in two formats."""
    sound = valid()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "hello")
    others = {
        "HTML": b"<script>alert(1)</script>",
        "ZIP": archive.getvalue(),
        "PDF": b"%PDF-1.4\n%%EOF",
        "PNG": b"\x89PNG\r\n\x1a\n" + bytes(50),
        "ELF": b"\x7fELF" + bytes(60),
        "shell": b"#!/bin/sh\nexit 1\n",
    }
    for name, other in others.items():
        for form in ("WAV", "MP3", "FLAC", "OGG", "M4A"):
            yield Hostile(f"polyglot: {name}, then {form}", other + sound[form])
            yield Hostile(f"polyglot: {form}, then {name}", sound[form] + other)
    for form, data in sound.items():
        yield Hostile(f"polyglot: an ID3 tag, then {form}", fixtures.id3_tag(20) + data)
    html = b"<svg onload=alert(1)>"
    wav = sound["WAV"]
    chunk = b"LIST" + struct.pack("<I", len(html)) + html + b"\0"
    yield Hostile("polyglot: a script in a chunk of a WAV", wav[:12] + chunk + wav[12:])


def joined() -> Iterator[Hostile]:
    """Yield two whole files, one after the other."""
    sound = valid()
    for first in fixtures.SINGLE_FORMATS:
        for second in (first, "WAV", "MP3", "OGG", "M4A"):
            yield Hostile(f"joined: {first} and {second}", sound[first] + sound[second])


def false_headers() -> Iterator[Hostile]:
    """Yield files with a valid header and missing, truncated or random data."""
    for form, data in valid().items():
        for kept in (4, 12, 16, 44, 100):
            yield Hostile(f"false header: {kept} bytes of {form}", data[:kept])
        noise = np.random.default_rng(len(data)).bytes(3000)
        yield Hostile(f"false header: the start of {form} before noise", data[:64] + noise)
        declared = data[:4] + b"\x40" + data[5:]
        yield Hostile(f"false header: {form} that declares a gigabyte", declared)
