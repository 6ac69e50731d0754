"""Detect a file's format from its bytes. File names are ignored."""

import io
import re
from dataclasses import dataclass
from typing import BinaryIO

from ml.audio import mpeg
from ml.errors import AudioError, Problem

FORMATS_READ = (
    "WAV, FLAC, OGG, Opus, MP3, M4A, MP4, AAC, AIFF, WebM, WMA, AMR, CAF, W64, AU, WavPack, AC-3, "
    "AVI or MPEG-TS"
)

# The formats that libsndfile reads.
SNDFILE_FORMATS = frozenset(("WAV", "AIFF", "AU"))
# The formats that FFmpeg reads, with FFmpeg's names. It reads Ogg and FLAC because libsndfile knows
# fewer codecs and depths, and MP3 because libsndfile guesses the length of a file without a Xing
# header and stops there.
AV_FORMATS = {
    "FLAC": "flac",
    "OGG": "ogg",
    "MP3": "mp3",
    "MP4": "mov",
    "WebM": "matroska",
    "WMA": "asf",
    "AMR": "amr",
    "AAC": "aac",
    "CAF": "caf",
    "W64": "w64",
    "WavPack": "wv",
    "AC-3": "ac3",
    "E-AC-3": "eac3",
    "AVI": "avi",
    "MPEG-TS": "mpegts",
}
FORMATS = SNDFILE_FORMATS | frozenset(AV_FORMATS)

# The encodings that FFmpeg may decode, or probe when it opens a file. It supports hundreds, image
# codecs among them, and each is code that an upload could reach.
AV_CODECS = frozenset((
    "mp3float", "mp3", "mp2float", "mp2", "mp1float", "mp1", "aac", "aac_latm", "alac", "flac",
    "opus", "vorbis", "speex", "wavpack", "ac3", "eac3",
    "wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice",
    "amrnb", "amrwb",
    "pcm_alaw", "pcm_mulaw", "pcm_u8", "pcm_s8",
    "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be",
    "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be",
))  # fmt: skip

# What current browsers play, by format; other files are also stored as FLAC for playback.
PLAYABLE = {
    "WAV": {"PCM_U8", "PCM_16", "PCM_24", "FLOAT", "ULAW", "ALAW"},
    "FLAC": {"flac"},
    "OGG": {"vorbis", "opus"},
    "MP3": {"mp3float", "mp3"},
    "MP4": {"aac", "mp3float", "mp3"},
    "AAC": {"aac"},
    "WebM": {"vorbis", "opus"},
}

# Chromium plays no lower rates and no more channels.
MIN_PLAYABLE_HZ, MAX_PLAYABLE_CHANNELS = 3_000, 32

# The first bytes of the formats that can be identified by them alone.
MAGIC = {
    b"fLaC": "FLAC",
    b"OggS": "OGG",
    b"\x1aE\xdf\xa3": "WebM",
    b"\x30\x26\xb2\x75": "WMA",
    b"#!AMR": "AMR",
    b"caff\x00\x01": "CAF",
    b"riff\x2e\x91\xcf\x11": "W64",
    b".snd": "AU",
    b"wvpk": "WavPack",
}
# Audio and video formats that are not read, by their first bytes: enough of them that a text which
# begins with the same letters is not taken for one.
UNREAD = {
    rb"MAC .[\x0e-\x13]": "Monkey's Audio",  # a version from 3.80 to 5.00
    rb"TTA1[\x01-\x03]\x00": "True Audio (TTA)",
    rb"MPCKSH[\x00-\x7f].{4}\x08": "Musepack",
    rb"MP\+[\x07\x17]": "Musepack",
    rb"DSD \x1c\x00{7}": "DSF",
    rb"FRM8.{8}DSD ": "DSDIFF",
    rb"MThd\x00{3}\x06": "MIDI",
    rb"\.ra\xfd": "RealAudio",
    rb"\.RMF\x00{3}": "RealMedia",
    rb"Creative Voice File\x1a": "VOC",
    rb"NIST_1A\n[ 0-9]{7}\n": "NIST SPHERE",
    rb"OFR [\x0c-\x1f]\x00{3}": "OptimFROG",
    rb"ajkg[\x00-\x03]": "Shorten",
    rb"tBaK[\x01\x81]": "TAK",
    rb"qoaf.{4}[\x01-\x08][\x00-\x07]": "QOA",
    rb"FLV\x01.\x00{3}\x09": "Flash video",
    rb"\x7f\xfe\x80\x01": "DTS",
    rb"\x00\x00\x01\xba": "MPEG program stream",
}
# Other files. They may contain MP3 frames, but are not sound files.
OTHER_FILES = (b"PK\x03\x04", b"%PDF", b"\x89PNG", b"\x7fELF", b"\xff\xd8\xff", b"GIF8", b"Rar!",
               b"7z\xbc\xaf", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"RIFF", b"FORM")  # fmt: skip

# The first boxes of an MP4 or QuickTime file.
FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
# A box of half a gigabyte or more, or a text.
LETTERS = 0x20
# The size of the packets of an MPEG transport stream, and of one with time stamps as camcorders
# write it, and where in them the byte is with which a packet begins.
TS_PACKETS = ((188, 0), (192, 4))
TS_SYNC = b"\x47"

# Editors that add a tag before an existing one leave two or three. Some files consist of tags.
MAX_TAGS = 100


@dataclass(frozen=True, slots=True)
class Found:
    """A format, and where it begins in the file.

    Attributes
    ----------
    skipped : bool
        Whether data that is neither audio nor a tag comes before it.
    """

    name: str
    start: int = 0
    skipped: bool = False


def find(file: BinaryIO) -> Found | None:
    """Return the format that the bytes indicate, or None if they indicate none.

    Raises
    ------
    AudioError
        `unsupported`: the format is known but not read.
    """
    start = _after_id3(file)
    head = file.read(32)
    name = _by_magic(head) or _by_structure(file, start, head)
    if name:
        return Found(name, start)
    for magic, unread in UNREAD.items():
        if re.match(magic, head, re.DOTALL):
            detail = f"{unread} is an audio format that Sonoscope does not read."
            raise AudioError(Problem("unsupported", detail, "Convert it to WAV or FLAC."))
    frames = None if head.startswith(OTHER_FILES) else mpeg.find_frames(file, start)
    if frames is not None:
        file.seek(frames)
        return Found("AAC" if mpeg.is_adts(file.read(2)) else "MP3", frames, skipped=True)
    # A tag usually precedes MP3.
    return Found("MP3", start) if start else None


def _after_id3(file: BinaryIO) -> int:
    """Return the offset of the first byte after the ID3 tags. Leaves `file` there."""
    start = file.seek(0)
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
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "WAV"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "AVI"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF"
    if head[4:8] == b"ftyp" and head[0] < LETTERS:
        return "MP4"
    if head[:2] == b"\x0b\x77" and len(head) > 5:
        return "E-AC-3" if head[5] >> 3 > 10 else "AC-3"
    if mpeg.is_adts(head):
        return "AAC"
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:  # layer III
        return "MP3"
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)


def _by_structure(file: BinaryIO, start: int, head: bytes) -> str | None:
    """Return the format of a file whose first bytes alone are not enough to tell."""
    size_bytes = file.seek(0, io.SEEK_END) - start
    if head[4:8] in FIRST_BOXES:
        box_bytes = int.from_bytes(head[:4], "big")
        if box_bytes in (0, 1) or 8 <= box_bytes <= size_bytes:
            return "MP4"
        if head[4:8] == b"mdat" and head[0] < LETTERS:
            return "MP4"
    if ts_packets(file, start):
        return "MPEG-TS"
    if mpeg.frame_bytes(head) and mpeg.is_run(file, start, mpeg.FRAMES_IN_A_ROW):
        return "MP3"  # layer I or II
    return None


def ts_packets(file: BinaryIO, start: int) -> tuple[int, int] | None:
    """Return the size of the packets of an MPEG transport stream and where in them its byte is, or
    None if there are not three of them.
    """
    for packet_bytes, sync in TS_PACKETS:
        places = (start + sync + packet_bytes * number for number in range(3))
        if all(file.seek(place) >= 0 and file.read(1) == TS_SYNC for place in places):
            return packet_bytes, sync
    return None
