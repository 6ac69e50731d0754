"""Decode a sound file into a mono waveform. The format is detected by content, never by name."""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import av
import numpy as np
import soundfile
import soxr
from av.container import InputContainer

from ml.audio import formats
from ml.audio.waveform import Samples, Waveform
from ml.errors import AudioError, Problem

W = TypeVar("W", bound=Waveform, covariant=True)

BLOCK_FRAMES = 65_536
# A sound is decoded in blocks of this length, to bound the memory.
BLOCK_S = 60
SHORTEST_S = 0.1
HIGHEST_RATE_HZ = 384_000
MAX_CHANNELS = 64
# Containers round the declared duration, and encoders pad: a smaller difference is not damage.
MISSING_S = 0.25
# Louder than any real file (float files scaled like 16-bit integers reach 32,768).
LOUDEST = 1e6

UNDECODABLE = "its audio cannot be decoded"
SNDFILE_NO_MEMORY = 17
SNDFILE_ENCODINGS = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW", "VORBIS", "OPUS")


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest duration and the largest size that a file may have."""

    duration_s: float = 600.0
    size_bytes: int = 100_000_000


@dataclass(frozen=True, slots=True)
class Sound(Generic[W]):
    """A decoded file, or a block of it.

    Attributes
    ----------
    waveform : (samples,) float32, mono, nominally in [-1, 1], at sample_rate Hz
        An array, or `SamplesOnDisk` for a long recording from `ml.audio.decoder`.
    sample_rate : int
        Rate of the waveform in Hz.
    source_rate_hz, channels, format
        Properties of the file.
    """

    waveform: W
    sample_rate: int
    source_rate_hz: int
    channels: int
    format: str

    @property
    def duration_s(self) -> float:
        return len(self.waveform) / self.sample_rate

    @property
    def source(self) -> dict[str, int | str]:
        """The properties of the file as plain values."""
        return {
            "source_rate_hz": self.source_rate_hz,
            "channels": self.channels,
            "format": self.format,
        }


@dataclass(frozen=True, slots=True)
class _Stream:
    """A decoder that is ready to run. `blocks` yields (frames, channels) float32."""

    blocks: Iterator[Samples]
    rate_hz: int
    channels: int
    declared_s: float | None


def read(
    path: str | os.PathLike[str] | int, sample_rate: int, limits: Limits | None = None
) -> Sound[Samples]:
    """Decode a file, average its channels and resample it.

    Do not call this on uploads: a decoder that crashes ends its process. Use
    `ml.audio.decoder` for them.

    Parameters
    ----------
    path : path or int
        An open file descriptor may be given instead of a path. It is closed.
    sample_rate : int
        Rate of the waveform to return, in Hz.

    Raises
    ------
    AudioError
        If the file cannot be decoded or exceeds the limits. `AudioError` lists the codes.
    OSError
        If the file cannot be opened.
    """
    blocks = list(read_blocks(path, sample_rate, limits or Limits()))
    if len(blocks) == 1:
        return blocks[0]
    return replace(blocks[0], waveform=np.concatenate([block.waveform for block in blocks]))


def read_blocks(
    path: str | os.PathLike[str] | int, sample_rate: int, limits: Limits
) -> Iterator[Sound[Samples]]:
    """Decode a file as `read` does; yield one block after another.

    All blocks but the last are at least BLOCK_S long, and none is twice as long. Damage at the end
    of a file raises AudioError only there, so nothing may be kept of the earlier blocks then.
    """
    with formats.Bytes(io.FileIO(path)) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes == 0:
            raise _refusal("empty", "The file is empty.", "Choose a file that contains audio.")
        if size_bytes > limits.size_bytes:
            size, limit = (round(one / 1e6) for one in (size_bytes, limits.size_bytes))
            hint = "Split it into parts, or save it in a compressed format such as FLAC."
            raise _refusal("too_large", f"The file is {size} MB; the limit is {limit} MB.", hint)
        name = formats.sniff(file)
        if name is None:
            raise _not_audio("This file contains no audio.")
        if formats.is_cut(file, name):
            raise _damaged(name, "the end of the file is missing")
        stream = _open_av(file, name) if name in formats.AV_FORMATS else _open_sndfile(file, name)
        _check_shape(stream, limits)
        samples = 0
        for block in _joined(_resample(stream, sample_rate, limits, name), BLOCK_S * sample_rate):
            _check_samples(block, name)
            samples += len(block)
            yield Sound(block, sample_rate, stream.rate_hz, stream.channels, name)
        _check_duration(samples / sample_rate, name)


# --- decoders -----------------------------------------------------------------------------


class _Forward(soundfile.SoundFile):
    """A file that never seeks: seeking fails at the end of a FLAC whose header has no length."""

    def seekable(self) -> bool:
        return False


def _open_sndfile(file: formats.Bytes, name: str) -> _Stream:
    declared = formats.declared_frames(file, name)
    with _sound_or_damage(name, "its header cannot be read"):
        sound = _Forward(formats.with_data_size(file) if name == "WAV" else file)
    if not sound.subtype.startswith(SNDFILE_ENCODINGS):
        kind = sound.subtype_info
        raise _unsupported(f"This {name} file uses the encoding {kind}, which is not supported.")
    frames = sound.frames if declared is None else declared
    # libsndfile returns a very large number for a file that declares no length.
    declared_s = frames / sound.samplerate if 0 < frames < 2**48 else None

    def blocks() -> Iterator[Samples]:
        # A tag may follow the last frame. It is not audio and cannot be decoded.
        left = sound.frames
        with sound:
            while left > 0:
                with _sound_or_damage(name, UNDECODABLE):
                    block = sound.read(min(BLOCK_FRAMES, left), dtype="float32", always_2d=True)
                if not len(block):
                    return
                left -= len(block)
                yield block

    return _Stream(blocks(), sound.samplerate, sound.channels, declared_s)


def _open_av(file: formats.Bytes, name: str) -> _Stream:
    declared = formats.declared_frames(file, name)
    form, codecs = formats.AV_FORMATS[name], ",".join(sorted(formats.AV_CODECS))
    allowed = {"protocol_whitelist": "", "format_whitelist": form, "codec_whitelist": codecs}
    # The format is explicit and the bytes come from our own handle: a playlist inside
    # the file cannot make FFmpeg open anything else.
    with _sound_or_damage(name, "its header cannot be read"):
        container = av.open(file, "r", format=form, options=allowed, metadata_errors="replace")
    if not container.streams.audio:
        raise _not_audio(f"This {name} file has no audio track.")
    stream = container.streams.audio[0]
    if stream.codec_context is None or stream.codec_context.name not in formats.AV_CODECS:
        raise _unsupported(f"This {name} file uses an encoding that is not supported.")
    stream.codec_context.thread_count = 1
    rate_hz, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    if not rate_hz or not channels:
        raise _damaged(name, "its header does not specify a sample rate or a number of channels")
    declared_s = declared / rate_hz if declared else _container_s(container, name)

    def blocks() -> Iterator[Samples]:
        resampler = av.AudioResampler(format="fltp")
        # A bare AAC stream does not mark its end: a tag or padding may follow.
        with container, _sound_or_damage(name, UNDECODABLE, tolerated=name == "AAC"):
            for packet in container.demux(stream):
                frames = []
                # Tags and padding may come between or after the frames of an MP3.
                with _sound_or_damage(name, UNDECODABLE, tolerated=name == "MP3"):
                    frames = [f for one in stream.decode(packet) for f in resampler.resample(one)]
                for frame in frames:
                    yield frame.to_ndarray().T.astype(np.float32, copy=False)

    return _Stream(blocks(), rate_hz, channels, declared_s)


def _container_s(container: InputContainer, name: str) -> float | None:
    """Return the duration that the container declares, or None where FFmpeg only guesses it."""
    stream = container.streams.audio[0]
    if name == "MP4" and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1
    if name == "WebM" and container.duration and alone and not stream.bit_rate:
        return (container.duration - (container.start_time or 0)) / av.time_base
    return None


@contextmanager
def _sound_or_damage(name: str, what: str, tolerated: bool = False) -> Iterator[None]:
    """Turn a decoder's error into an AudioError, or end the block silently if it is `tolerated`.

    Raise MemoryError if the decoder ran out of memory.
    """
    try:
        yield
    except MemoryError:
        raise
    except (av.error.FFmpegError, soundfile.LibsndfileError, ValueError) as error:
        if getattr(error, "code", None) == SNDFILE_NO_MEMORY:
            raise MemoryError from error
        if not tolerated:
            raise _damaged(name, what) from error


# --- resampling and checks ----------------------------------------------------------------


def _resample(stream: _Stream, sample_rate: int, limits: Limits, name: str) -> Iterator[Samples]:
    """Yield the mono waveform at `sample_rate` in parts, none of them longer than BLOCK_S."""
    resampler = soxr.ResampleStream(stream.rate_hz, sample_rate, 1, dtype="float32")
    most_frames = int((limits.duration_s + MISSING_S) * stream.rate_hz)
    frames, frames_at_once = 0, BLOCK_S * stream.rate_hz
    for block in stream.blocks:
        frames += len(block)
        if frames > most_frames:
            raise _too_long(frames / stream.rate_hz, limits)
        mono = block.mean(axis=1, dtype=np.float32)
        # At a very low rate, few frames are a long sound.
        for first in range(0, len(mono), frames_at_once):
            yield resampler.resample_chunk(mono[first : first + frames_at_once])
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
    decoded_s, declared_s = frames / stream.rate_hz, stream.declared_s
    if declared_s is not None and decoded_s < declared_s * 0.99 - MISSING_S:
        raise _damaged(name, f"it ends after {decoded_s:.1f} s instead of {declared_s:.1f} s")


def _joined(parts: Iterable[Samples], least_samples: int) -> Iterator[Samples]:
    """Yield parts joined into blocks of at least `least_samples`; the last one may be shorter."""
    block: list[Samples] = []
    samples = 0
    for part in parts:
        block.append(part)
        samples += len(part)
        if samples >= least_samples:
            yield np.concatenate(block)
            block, samples = [], 0
    if samples:
        yield np.concatenate(block)


def _check_shape(stream: _Stream, limits: Limits) -> None:
    if not 0 < stream.rate_hz <= HIGHEST_RATE_HZ or not 0 < stream.channels <= MAX_CHANNELS:
        detail = (
            f"The file has {stream.channels} channels at {stream.rate_hz:,} Hz; at most "
            f"{MAX_CHANNELS} channels and {HIGHEST_RATE_HZ:,} Hz are supported."
        )
        raise _refusal("unsupported", detail, "Save it as mono or stereo at 44.1 kHz.")
    if stream.declared_s is not None and stream.declared_s > limits.duration_s + MISSING_S:
        raise _too_long(stream.declared_s, limits)


def _check_samples(block: Samples, name: str) -> None:
    if not np.isfinite(block).all() or np.abs(block).max() > LOUDEST:
        raise _damaged(name, "some of its samples are not valid numbers or are far out of range")


def _check_duration(duration_s: float, name: str) -> None:
    if not duration_s:
        detail = f"This {name} file has a header but no samples."
        raise _refusal("empty", detail, "Record or export it again.")
    if duration_s < SHORTEST_S:
        detail = f"The sound lasts {duration_s:.3f} s; at least {SHORTEST_S} s is required."
        raise _refusal("too_short", detail, "Choose a longer recording.")


def _refusal(code: str, detail: str, hint: str) -> AudioError:
    return AudioError(Problem(code, detail, hint))


def _not_audio(detail: str) -> AudioError:
    hint = f"Choose a {formats.FORMATS_READ} file that contains audio."
    return _refusal("not_audio", detail, hint)


def _unsupported(detail: str) -> AudioError:
    return _refusal("unsupported", detail, "Save it as 16-bit WAV or FLAC.")


def _damaged(name: str, what: str) -> AudioError:
    hint = "Copy it again from its source, or export it again as WAV or FLAC."
    return _refusal("damaged", f"The {name} file is damaged: {what}.", hint)


def _too_long(duration_s: float, limits: Limits) -> AudioError:
    lasts, limit = _minutes(duration_s), _minutes(limits.duration_s)
    detail = f"The sound lasts {lasts} or more; the limit is {limit}."
    return _refusal("too_long", detail, "Split it into shorter parts.")


def _minutes(duration_s: float) -> str:
    return f"{duration_s / 60:.1f} minutes" if duration_s >= 90 else f"{duration_s:.0f} s"
