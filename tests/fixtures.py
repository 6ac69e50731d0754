"""Sounds for tests: synthesised, deterministic, never downloaded.

Samples are float32 in [-1, 1], shaped (samples,) for mono and (samples, channels) otherwise.
"""

import io
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from av.codec.context import Flags
from numpy.typing import NDArray

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FFmpegOptions:
    """Options for a file that FFmpeg writes.

    Attributes
    ----------
    quality : variable bit rate at this quality instead of 64 kbit/s
    start_s : timestamp of the first sample
    video_s : duration of a video track, 0 for none
    """

    container: str
    codec: str
    options: Mapping[str, str] = field(default_factory=dict)
    quality: int | None = None
    start_s: float = 0.0
    video_s: float = 0.0


# FFmpeg's names of the layouts by the number of channels.
LAYOUTS = {1: "mono", 2: "stereo", 8: "7.1", 16: "hexadecagonal"}
# What `encode` can write: name → the libsndfile format and subtype.
SNDFILE_FORMATS = {
    "WAV": ("WAV", "PCM_16"),
    "FLAC": ("FLAC", "PCM_16"),
    "OGG": ("OGG", "VORBIS"),
    "Opus": ("OGG", "OPUS"),
    "MP3": ("MP3", "MPEG_LAYER_III"),
    "AIFF": ("AIFF", "PCM_16"),
}
BARE_MP3 = {"write_xing": "0", "id3v2_version": "0"}
FFMPEG_FORMATS = {
    "M4A": FFmpegOptions("ipod", "aac"),
    "M4A streamed": FFmpegOptions("ipod", "aac", {"movflags": "+faststart"}),
    "MP4": FFmpegOptions("mp4", "aac"),
    "AAC": FFmpegOptions("adts", "aac"),
    "MP4 with video": FFmpegOptions("mp4", "aac", video_s=4.0),
    "MP4 late": FFmpegOptions("mp4", "aac", start_s=4.0),
    "WebM": FFmpegOptions("webm", "libopus"),
    "WebM live": FFmpegOptions("webm", "libopus", {"live": "1"}),
    "WebM late": FFmpegOptions("webm", "libopus", start_s=4.0),
    "WebM with video": FFmpegOptions("webm", "libopus", video_s=4.0),
    "MKV": FFmpegOptions("matroska", "flac"),
    "MKV live": FFmpegOptions("matroska", "libmp3lame", {"live": "1"}),
    "WMA": FFmpegOptions("asf", "wmav2"),
    "ALAC": FFmpegOptions("ipod", "alac"),
    "AMR": FFmpegOptions("amr", "libopencore_amrnb"),
    "CAF": FFmpegOptions("caf", "pcm_s16be"),
    "W64": FFmpegOptions("w64", "pcm_s16le"),
    "AU": FFmpegOptions("au", "pcm_s16be"),
    "WavPack": FFmpegOptions("wv", "wavpack"),
    "AC-3": FFmpegOptions("ac3", "ac3"),
    "AVI": FFmpegOptions("avi", "pcm_s16le"),
    "MPEG-TS": FFmpegOptions("mpegts", "mp2"),
    "MP3 VBR": FFmpegOptions("mp3", "libmp3lame", quality=2),
    "MP3 bare": FFmpegOptions("mp3", "libmp3lame", BARE_MP3),
    "MP3 bare VBR": FFmpegOptions("mp3", "libmp3lame", BARE_MP3, quality=2),
}
FORMATS = (*SNDFILE_FORMATS, *FFMPEG_FORMATS)
# One name for each format.
SINGLE_FORMATS = ("WAV", "FLAC", "OGG", "Opus", "MP3", "AIFF", "M4A", "AAC", "WebM", "WMA", "AMR",
                  "CAF", "W64", "AU", "WavPack", "AC-3", "AVI", "MPEG-TS")  # fmt: skip
# Sample rates that a format requires; the others accept 44.1 kHz and more.
RATES_HZ = {"AMR": 8_000, "Opus": 48_000} | {
    form: 48_000 for form, how in FFMPEG_FORMATS.items() if how.codec == "libopus"
}


# --- sounds -------------------------------------------------------------------------------


def times_s(duration_s: float, rate_hz: int) -> NDArray[np.float64]:
    return np.arange(round(duration_s * rate_hz)) / rate_hz


def tone(
    hz: float = 1000.0, duration_s: float = 1.0, rate_hz: int = 32_000, level: float = 0.5
) -> Samples:
    return (level * np.sin(2 * np.pi * hz * times_s(duration_s, rate_hz))).astype(np.float32)


def chirp(
    from_hz: float = 200.0, to_hz: float = 8000.0, duration_s: float = 1.0, rate_hz: int = 32_000
) -> Samples:
    """Return a tone that rises or falls at a constant rate."""
    t = times_s(duration_s, rate_hz)
    phase = 2 * np.pi * (from_hz * t + (to_hz - from_hz) * t**2 / (2 * duration_s))
    return (0.5 * np.sin(phase)).astype(np.float32)


def noise(
    duration_s: float = 1.0, rate_hz: int = 32_000, level: float = 0.2, seed: int = 1
) -> Samples:
    drawn = np.random.default_rng(seed).standard_normal(round(duration_s * rate_hz))
    return np.clip(level * drawn, -1, 1).astype(np.float32)


def clicks(per_second: float = 4.0, duration_s: float = 1.0, rate_hz: int = 32_000) -> Samples:
    """Return short clicks in silence, the first at the start."""
    samples = np.zeros(round(duration_s * rate_hz), np.float32)
    samples[:: round(rate_hz / per_second)] = 0.9
    return samples


def silence(duration_s: float = 1.0, rate_hz: int = 32_000) -> Samples:
    return np.zeros(round(duration_s * rate_hz), np.float32)


def stereo(left: Samples, right: Samples) -> Samples:
    return np.stack([left, right], axis=1)


# --- files --------------------------------------------------------------------------------


def encode(samples: Samples, rate_hz: int = 32_000, form: str = "WAV", **options: Any) -> bytes:
    """Return a file in one of `FORMATS`; `options` go to soundfile (`subtype`, `endian`)."""
    if form in SNDFILE_FORMATS:
        container, subtype = SNDFILE_FORMATS[form]
        buffer = io.BytesIO()
        settings = {"format": container, "subtype": subtype, **options}
        soundfile.write(buffer, samples, rate_hz, **settings)
        return buffer.getvalue()
    return encode_with_ffmpeg(samples, rate_hz, FFMPEG_FORMATS[form])


def encode_with_ffmpeg(samples: Samples, rate_hz: int, how: FFmpegOptions) -> bytes:
    layout = LAYOUTS[samples.size // len(samples)]
    whole = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "flt", layout)
    whole.sample_rate, whole.pts = rate_hz, round(how.start_s * rate_hz)
    # FFmpeg opens some of its output a second time, so it needs a real file.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        settings = dict(how.options)
        with av.open(str(path), "w", format=how.container, container_options=settings) as output:
            stream: Any = output.add_stream(how.codec, rate=rate_hz, layout=layout)
            encoder = stream.codec_context
            if how.quality is not None:
                encoder.flags |= Flags.qscale
                encoder.global_quality = how.quality * 118
            elif how.container != "amr":
                encoder.bit_rate = 64_000
            encoder.open()
            pieces = av.AudioResampler(encoder.format, layout, rate_hz, encoder.frame_size or None)
            if how.video_s:
                _add_video(output, how.video_s)
            for piece in [*pieces.resample(whole), *pieces.resample(None), None]:
                output.mux(stream.encode(piece))
        return path.read_bytes()


def _add_video(output: Any, duration_s: float) -> None:
    stream = output.add_stream("libvpx" if output.format.name == "webm" else "mpeg4", rate=10)
    stream.width = stream.height = 32
    stream.pix_fmt = "yuv420p"
    for number in range(round(duration_s * 10)):
        grey = np.full((32, 32, 3), number % 256, np.uint8)
        picture = av.VideoFrame.from_ndarray(grey)
        picture.pts = number
        output.mux(stream.encode(picture))
    output.mux(stream.encode(None))


def video_without_sound(container: str) -> bytes:
    """Return a video without an audio track, as "mp4" or "webm"."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        _add_video(output, 1.0)
    return buffer.getvalue()


def film(tracks: list[Samples], container: str) -> bytes:
    """Return mono tracks at 48 kHz in one file: "mp4", "matroska" or "mpegts"."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        streams: Any = [
            output.add_stream("mp2" if container == "mpegts" else "aac", rate=48_000, layout="mono")
            for _ in tracks
        ]
        for stream in streams:
            stream.codec_context.open()
        for stream, samples in zip(streams, tracks, strict=True):
            encoder = stream.codec_context
            whole = av.AudioFrame.from_ndarray(samples[np.newaxis], "fltp", "mono")
            whole.sample_rate, whole.pts = 48_000, 0
            pieces = av.AudioResampler(encoder.format, "mono", 48_000, encoder.frame_size)
            for piece in [*pieces.resample(whole), *pieces.resample(None), None]:
                output.mux(stream.encode(piece))
    return buffer.getvalue()


def verbatim_flac(samples: Samples, rate_hz: int, bits: int) -> bytes:
    """Return a mono FLAC of any depth without compression: libsndfile writes only three depths."""
    block, values = 4096, np.round(samples * (2 ** (bits - 1) - 1)).astype(np.int64)
    values = values[: len(values) // block * block]  # whole blocks only
    info = struct.pack(">HH", block, block) + bytes(6)
    info += (rate_hz << 44 | (bits - 1) << 36 | len(values)).to_bytes(8, "big") + bytes(16)
    pieces = [b"fLaC\x80", len(info).to_bytes(3, "big"), info]
    for number, first in enumerate(range(0, len(values), block)):
        # 4096 samples, rate and depth as in the header, mono, a number of one byte.
        head = bytes((0xFF, 0xF8, 0xC0, 0x00, number))
        head += bytes((_crc(head, 0x07, 8),))
        digits = "".join(f"{one % 2**bits:0{bits}b}" for one in values[first : first + block])
        body = int(digits, 2).to_bytes(len(digits) // 8, "big")
        frame = head + b"\x02" + body  # a verbatim subframe
        pieces += [frame, _crc(frame, 0x8005, 16).to_bytes(2, "big")]
    return b"".join(pieces)


def ogg_page(body: bytes, serial: int, kind: int) -> bytes:
    """Return an Ogg page with one packet of at most 254 bytes; kind 2 begins a stream."""
    head = b"OggS\0" + bytes((kind,)) + bytes(8) + struct.pack("<II", serial, 0)
    tail = bytes((1, len(body))) + body
    return head + _crc(head + bytes(4) + tail, 0x04C11DB7, 32).to_bytes(4, "little") + tail


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    register, mask = 0, (1 << bits) - 1
    for byte in data:
        register ^= byte << bits - 8
        for _ in range(8):
            top = register >> bits - 1
            register = (register << 1 & mask) ^ (polynomial if top else 0)
    return register


def id3_tag(length: int = 200) -> bytes:
    """Return an empty ID3v2 tag with `length` bytes after its header."""
    size = bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + size + bytes(length)
