"""Malicious ZIPs: some handcrafted, the rest mutations of those, generated from a seed."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache

import numpy as np

from tests.malicious_files import NAMES
from tests.mutated_files import EDGES, cut_off, flip_bits, repeat_part

_LOCAL, _ENTRY, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def packed(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def edited(data: bytes, tag: bytes, offset: int, piece: bytes) -> bytes:
    """Overwrite the bytes at `offset` behind the last `tag` with `piece`."""
    place = data.rindex(tag) + offset
    return data[:place] + piece + data[place + len(piece) :]


def without_name() -> bytes:
    """Return a ZIP with a member whose name is empty.

    Python ends a name at its first zero byte, and its own `is_dir` fails on an empty name.
    """
    return packed({"N.wav": b"x", "fine.wav": b"y"}).replace(b"N.wav", b"\0.wav")


def impossible_offset() -> bytes:
    """Return a ZIP with an entry whose offset is larger than any file."""
    data = packed({"a.wav": b"x"})
    start = data.rindex(_ENTRY)
    extra = struct.pack("<HHQ", 1, 8, 2**64 - 1)
    entry = bytearray(data[start : data.rindex(_END)])
    entry[30:32], entry[42:46] = struct.pack("<H", len(extra)), b"\xff" * 4
    end = edited(data, _END, 12, struct.pack("<I", len(entry) + len(extra)))
    return data[:start] + bytes(entry) + extra + end[end.rindex(_END) :]


def many_entries(count: int, declared: int) -> bytes:
    """Return a directory of `count` entries of minimal size that declares another number."""
    directory = (_ENTRY + bytes(42)) * count
    end = struct.pack("<4s4H2IH", _END, 0, 0, declared, declared, len(directory), 0, 0)
    return directory + end


def conflicting_directories() -> bytes:
    """Return `many_entries` followed by a decoy that looks like the end of a short directory."""
    directory = (_ENTRY + bytes(42)) * 60_000
    record = struct.pack(
        "<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 60_000, 60_000, len(directory), 0
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(directory), 1)
    decoy = locator[:8] + b"PK\x06\x06" + locator[12:]
    end = struct.pack("<4s4H2IH", _END, 0, 0, 1, 1, 46, 0, 0)
    return directory + record + decoy + end


def large_lzma_dictionary() -> bytes:
    """Return a few bytes of LZMA that request a dictionary of four gigabytes."""
    data = packed({"a.wav": b"hello" * 100}, zipfile.ZIP_LZMA)
    place = data.index(_LOCAL) + 30 + len("a.wav") + 5
    return data[:place] + b"\xff" * 4 + data[place + 4 :]


@cache
def handcrafted() -> dict[str, bytes]:
    small = packed({"a.wav": b"a" * 300, "b/c.wav": b"b" * 300})
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = deflated.compress(bytes(30_000_000)) + deflated.flush()
    return {
        "unusual names": packed({name: b"x" for name in NAMES if name[0] != "\0"}),
        "zeros": packed({"zeros.wav": bytes(30_000_000)}),
        "zeros with a false size": edited(
            edited(packed({"zeros.wav": bytes(30_000_000)}), _ENTRY, 24, struct.pack("<I", 10)),
            _LOCAL, 22, struct.pack("<I", 10),
        ),
        "a ZIP in a ZIP in a ZIP": packed({"x.zip": packed({"y.zip": small})}),
        "member without a name": without_name(),
        "impossible offset": impossible_offset(),
        "many entries, one declared": many_entries(60_000, 1),
        "two conflicting directories": conflicting_directories(),
        "LZMA with a 4 GB dictionary": large_lzma_dictionary(),
        "bzip2": packed({"a.wav": b"a" * 9000}, zipfile.ZIP_BZIP2),
        "deflate64": edited(
            edited(packed({"a.wav": b"a" * 300}), _ENTRY, 10, struct.pack("<H", 9)),
            _LOCAL, 8, struct.pack("<H", 9),
        ),
        "same name twice": small[: small.rindex(_END)] + small,
        "behind a program": b"\x7fELF" + bytes(5000) + small,
        "a comment that looks like an end record": small[:-2] + b"\x16\0" + small[-22:],
        "bare deflate": zeros,
        "empty": packed({}),
    }  # fmt: skip


def files(count: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield the handcrafted ZIPs, then mutations of small ones; the same for the same seed."""
    yield from list(handcrafted().items())[:count]
    small = [
        packed({"a.wav": b"a" * 300, "b/c.wav": b"b" * 300, "d/": b""}, packing)
        for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
    ] + [impossible_offset(), handcrafted()["a comment that looks like an end record"]]
    for number in range(count - len(handcrafted())):
        draw = np.random.default_rng((seed, number))
        how = (flip_bits, cut_off, repeat_part, edit_number)[int(draw.integers(4))]
        yield f"{how.__name__} {number}", how(small[number % len(small)], draw)


def edit_number(data: bytes, draw: np.random.Generator) -> bytes:
    """Replace a number in an entry, a member header or the end record with an edge value."""
    tag = (_LOCAL, _ENTRY, _END)[int(draw.integers(3))]
    place = data.find(tag)
    if place < 0:
        return flip_bits(data, draw)
    size = int(draw.choice((2, 4)))
    value = EDGES[int(draw.integers(len(EDGES)))].to_bytes(8, "little")[:size]
    place += int(draw.integers(4, 46))
    return data[:place] + value + data[place + size :]
