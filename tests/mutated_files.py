"""Mutations of valid files: one fault each, drawn from a seed."""

import struct
from functools import cache

import numpy as np

from tests import fixtures

# In addition to `fixtures.FORMATS`: name → arguments of soundfile.
MORE = {
    "WAV 24": {"subtype": "PCM_24"},
    "WAV float": {"subtype": "FLOAT"},
    "WAV A-law": {"subtype": "ALAW"},
    "WAV big-endian": {"endian": "BIG"},
    "RF64": {"format": "RF64"},
    "WAVEX": {"format": "WAVEX"},
    "WAV ADPCM": {"subtype": "IMA_ADPCM"},
    "WAV GSM": {"subtype": "GSM610"},
    "WAV NMS ADPCM": {"subtype": "NMS_ADPCM_32"},
    "AIFF float": {"format": "AIFF", "subtype": "FLOAT"},
    "AIFF 24": {"format": "AIFF", "subtype": "PCM_24"},
}
# Formats that the same libraries read, but Sonoscope does not accept.
FOREIGN = {
    "VOC": {"format": "VOC"},
    "SD2-like RAW": {"format": "RAW", "subtype": "VOX_ADPCM"},
    "NIST": {"format": "NIST"},
    "IRCAM": {"format": "IRCAM"},
    "PAF": {"format": "PAF"},
    "SVX": {"format": "SVX"},
    "MAT5": {"format": "MAT5"},
}
# Next to each of these is a length, a count or an offset.
TAGS = (
    b"RIFF", b"fmt ", b"data", b"LIST", b"fact", b"ds64", b"FORM", b"COMM", b"SSND", b"fLaC",
    b"OggS", b"OpusHead", b"vorbis", b"ID3", b"Xing", b"Info", b"moov", b"mdat", b"trak", b"mdia",
    b"stbl", b"stsd", b"stsz", b"stco", b"stsc", b"stts", b"esds", b"mp4a", b"elst", b"mvhd",
    b"mdhd", b"\x1aE\xdf\xa3", b"\x18S\x80g", b"\x16T\xaek", b"\x1fC\xb6u", b"A_OPUS", b"A_FLAC",
    b"\x30\x26\xb2\x75", b"#!AMR", b"caff", b"desc", b"pakt", b"kuki", b"riff\x2e\x91", b".snd",
    b"wvpk", b"\x0b\x77", b"avih", b"strh", b"strf", b"movi", b"idx1", b"BW64", b"Speex   ",
    b"\x47\x40\x11", b"\x47\x40\x00", b"\x47\x50\x00", b"\x00\x02\xb0", b"\x00\x00\x01\xc0",
)  # fmt: skip
# Encodings in other containers than usual, and what decoders of several kinds read.
UNUSUAL = {
    "FLAC 20": lambda: fixtures.verbatim_flac(fixtures.tone(1000, 2.048, 8000), 8000, 20),
    "Ogg FLAC": lambda: _tone("ogg", "flac", 8_000),
    "MP2": lambda: _tone("mp2", "mp2", 44_100),
    "E-AC-3": lambda: _tone("eac3", "eac3", 48_000),
    "AC-3 in MP4": lambda: _tone("mp4", "ac3", 48_000),
    "AMR in 3GP": lambda: _tone("3gp", "libopencore_amrnb", 8_000),
    "ALAC in CAF": lambda: _tone("caf", "alac", 44_100),
    "AAC in MPEG-TS": lambda: _tone("mpegts", "aac", 48_000),
    "MP3 in AVI": lambda: _tone("avi", "libmp3lame", 44_100),
    "two tracks": lambda: fixtures.film(
        [fixtures.silence(0.5, 48_000), fixtures.tone(1000, 0.5, 48_000)], "mpegts"
    ),
    "chained Ogg": lambda: 2 * fixtures.encode(fixtures.tone(1000, 0.3, 44_100), 44_100, "OGG"),
}
EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@cache
def valid() -> dict[str, bytes]:
    """Return a short sound in every supported format, and in some that are not supported."""
    made = {}
    for form in fixtures.FORMATS:
        rate_hz = fixtures.RATES_HZ.get(form, 44_100)
        made[form] = fixtures.encode(fixtures.tone(1000, 0.5, rate_hz), rate_hz, form)
    made |= {name: how() for name, how in UNUSUAL.items()}
    for name, how in (MORE | FOREIGN).items():
        made[name] = fixtures.encode(fixtures.tone(1000, 0.5, 8000), 8000, "WAV", **how)
    return made


def _tone(container: str, codec: str, rate_hz: int) -> bytes:
    how = fixtures.FFmpegOptions(container, codec)
    return fixtures.encode_with_ffmpeg(fixtures.tone(1000, 0.5, rate_hz), rate_hz, how)


def flip_bits(data: bytes, draw: np.random.Generator) -> bytes:
    mutant = bytearray(data)
    reach = len(mutant) if draw.random() < 0.5 else min(len(mutant), 600)
    for place in draw.integers(0, reach, draw.integers(1, 40)):
        mutant[place] ^= 1 << int(draw.integers(8))
    return bytes(mutant)


def cut_off(data: bytes, draw: np.random.Generator) -> bytes:
    return data[: int(draw.integers(1, len(data)))]


def edit_field(data: bytes, draw: np.random.Generator) -> bytes:
    """Replace numbers at aligned offsets of the header with edge values."""
    mutant = bytearray(data)
    for _ in range(int(draw.integers(1, 4))):
        place = int(draw.integers(0, min(len(mutant), 800) // 2)) * 2
        _put(mutant, place, draw)
    return bytes(mutant)


def set_wrong_length(data: bytes, draw: np.random.Generator) -> bytes:
    """Replace a number next to a tag with an edge value."""
    mutant = bytearray(data)
    places = [place for tag in TAGS if (place := data.find(tag)) >= 0]
    if not places:
        return edit_field(data, draw)
    tag = places[int(draw.integers(len(places)))]
    _put(mutant, max(0, tag + int(draw.choice((-4, 4, 8, 12, 16, 20)))), draw)
    return bytes(mutant)


def repeat_part(data: bytes, draw: np.random.Generator) -> bytes:
    """A chunk, box or page once more, or many times more."""
    start = _part(data, draw)
    end = min(len(data), start + int(draw.integers(8, 4000)))
    times = int(draw.choice((1, 2, 50)))
    return data[:end] + data[start:end] * times + data[end:]


def leave_out_part(data: bytes, draw: np.random.Generator) -> bytes:
    start = _part(data, draw)
    return data[:start] + data[start + int(draw.integers(1, 2000)) :]


def swap_parts(data: bytes, draw: np.random.Generator) -> bytes:
    one, other, three = sorted(int(place) for place in draw.integers(0, len(data), 3))
    return data[:one] + data[other:three] + data[one:other] + data[three:]


def fill_with_noise(data: bytes, draw: np.random.Generator) -> bytes:
    start = int(draw.integers(4, len(data)))
    size = int(draw.integers(1, 2000))
    return data[:start] + draw.bytes(size) + data[start + size :]


def splice_with_another(data: bytes, draw: np.random.Generator) -> bytes:
    """Join the beginning of one file and the end of another format."""
    others = list(valid().values())
    other = others[int(draw.integers(len(others)))]
    place = int(draw.integers(4, len(data)))
    return data[:place] + other[int(draw.integers(0, len(other))) :]


MUTATIONS = {
    "bits flipped": flip_bits,
    "end cut off": cut_off,
    "field edited": edit_field,
    "wrong length": set_wrong_length,
    "part repeated": repeat_part,
    "part left out": leave_out_part,
    "parts swapped": swap_parts,
    "noise": fill_with_noise,
    "spliced": splice_with_another,
}


def _part(data: bytes, draw: np.random.Generator) -> int:
    places = [place for tag in TAGS if (place := data.find(tag)) >= 0]
    if places and draw.random() < 0.7:
        return max(0, places[int(draw.integers(len(places)))] - 4)
    return int(draw.integers(0, len(data)))


def _put(mutant: bytearray, place: int, draw: np.random.Generator) -> None:
    value = EDGES[int(draw.integers(len(EDGES)))]
    size = int(draw.choice((1, 2, 4, 8)))
    order = ">" if draw.random() < 0.5 else "<"
    packed = struct.pack(f"{order}Q", value)
    piece = packed[-size:] if order == ">" else packed[:size]
    mutant[place : place + size] = piece[: max(0, len(mutant) - place)]
