"""The cast of sounds every test draws on: synthesised, deterministic, never downloaded.

Samples are float32 in [-1, 1], shaped (samples,) for mono and (samples, channels) otherwise.
"""

import io
import struct

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# What `encode` can write: name → the libsndfile format and subtype.
BY_SNDFILE = {
    "WAV": ("WAV", "PCM_16"),
    "FLAC": ("FLAC", "PCM_16"),
    "OGG": ("OGG", "VORBIS"),
    "Opus": ("OGG", "OPUS"),
    "MP3": ("MP3", "MPEG_LAYER_III"),
    "AIFF": ("AIFF", "PCM_16"),
}
# name → FFmpeg's container, codec, and the container's options.
BY_AV = {
    "M4A": ("ipod", "aac", {}),
    "M4A streamed": ("ipod", "aac", {"movflags": "+faststart"}),
    "MP4": ("mp4", "aac", {}),
    "AAC": ("adts", "aac", {}),
    "WebM": ("webm", "libopus", {}),
    "WMA": ("asf", "wmav2", {}),
    "AMR": ("amr", "libopencore_amrnb", {}),
}
FORMATS = (*BY_SNDFILE, *BY_AV)


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
    """A steadily rising (or falling) tone."""
    t = times_s(duration_s, rate_hz)
    phase = 2 * np.pi * (from_hz * t + (to_hz - from_hz) * t**2 / (2 * duration_s))
    return (0.5 * np.sin(phase)).astype(np.float32)


def noise(
    duration_s: float = 1.0, rate_hz: int = 32_000, level: float = 0.2, seed: int = 1
) -> Samples:
    drawn = np.random.default_rng(seed).standard_normal(round(duration_s * rate_hz))
    return np.clip(level * drawn, -1, 1).astype(np.float32)


def clicks(per_second: float = 4.0, duration_s: float = 1.0, rate_hz: int = 32_000) -> Samples:
    """Short clicks on silence, the first at the start."""
    samples = np.zeros(round(duration_s * rate_hz), np.float32)
    samples[:: round(rate_hz / per_second)] = 0.9
    return samples


def silence(duration_s: float = 1.0, rate_hz: int = 32_000) -> Samples:
    return np.zeros(round(duration_s * rate_hz), np.float32)


def stereo(left: Samples, right: Samples) -> Samples:
    return np.stack([left, right], axis=1)


# --- files --------------------------------------------------------------------------------


def encode(samples: Samples, rate_hz: int = 32_000, form: str = "WAV", **options) -> bytes:
    """The bytes of a file. `options` go to soundfile, or to FFmpeg's encoder as `bit_rate`."""
    if form in BY_SNDFILE:
        return _encode_sndfile(samples, rate_hz, form, **options)
    return _encode_av(samples, rate_hz, *BY_AV[form], **options)


def _encode_sndfile(samples, rate_hz, form, **options):
    container, subtype = BY_SNDFILE[form]
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, **{"format": container, "subtype": subtype, **options})
    return buffer.getvalue()


def _encode_av(samples, rate_hz, container, codec, options, bit_rate=64_000, **more):
    buffer = io.BytesIO()
    planes = np.atleast_2d(samples.T)
    layout = "mono" if len(planes) == 1 else "stereo"
    with av.open(buffer, "w", format=container, container_options={**options, **more}) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        if codec != "libopencore_amrnb":
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), "fltp", layout)
        frame.sample_rate = rate_hz
        frame.pts = 0
        stream.codec_context.open()
        resampler = av.AudioResampler(stream.format, layout, rate_hz, stream.codec_context.frame_size or None)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return buffer.getvalue()
