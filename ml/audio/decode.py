"""Decode a sound file into a mono waveform. The format is detected by content, never by name."""

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import soxr

from ml import notices
from ml.audio import formats, recording_time
from ml.audio.file_views import Bytes, part
from ml.audio.mixing import Mixer
from ml.audio.streams import PADDING_S, Stream, damaged, not_audio, open_stream
from ml.audio.waveform import Samples, SamplesOnDisk, Waveform
from ml.clock_time import RecordingStart, to_columns
from ml.errors import AudioError, Problem

W = TypeVar("W", bound=Waveform, covariant=True)

# A sound is decoded in blocks of this length, to bound the memory.
BLOCK_S = 60
SHORTEST_S = 0.1
HIGHEST_RATE_HZ = 500_000
MAX_CHANNELS = 64
# Tracks of a film that are tried if the first ones are silent or too short.
MAX_TRACKS = 8
# Containers round the declared duration, and encoders pad: a smaller difference is not damage.
MISSING_S = 0.25
# Louder than any real file (float files scaled like 16-bit integers reach 32,768).
LOUDEST = 1e6
# What a browser that plays the file itself does not do in another way.
PLAYED_ALIKE = {notices.CHANNELS_CANCELLED, notices.SILENT}
# Formats that browsers also play with an ID3v2 tag before them.
TAGGED = ("MP3", "AAC")
# A shorter last block of a long sound says little about its channels.
MIXED_S = 5
# A track, or a whole file, that is never louder is silent: −80 dB.
SILENT = 1e-4


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest duration and the largest size that a file may have."""

    duration_s: float = 600.0
    size_bytes: int = 100_000_000


# Of a recording that is read in blocks, with its samples on disk: a week in 16-bit stereo at 48 kHz
# is within them.
RECORDING_LIMITS = Limits(duration_s=7 * 86_400.0, size_bytes=200_000_000_000)


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
    playable : bool
        Whether current browsers play the file itself.
    notices : tuple of str
        What was done that the user should know: codes of `ml.notices`. Complete in the last
        block.
    first_sample : int
        Where the block begins in the sound. If it is 0 again, the file is decoded anew, in another
        way: drop the earlier blocks.
    recorded : RecordingStart or None
        When the recording starts, if the file's metadata says so. Known in the last block.
    """

    waveform: W
    sample_rate: int
    source_rate_hz: int
    channels: int
    format: str
    playable: bool = True
    notices: tuple[str, ...] = ()
    first_sample: int = 0
    recorded: RecordingStart | None = None

    @property
    def duration_s(self) -> float:
        return len(self.waveform) / self.sample_rate

    @property
    def silent(self) -> bool:
        """Whether the whole sound is silent or nearly silent. Known in the last block."""
        return notices.SILENT in self.notices

    @property
    def source(self) -> dict[str, Any]:
        """The properties of the file as plain values."""
        return {
            "source_rate_hz": self.source_rate_hz,
            "channels": self.channels,
            "format": self.format,
            "notices": list(self.notices),
            **to_columns(self.recorded),
        }


@dataclass(frozen=True, slots=True)
class _Choice:
    """How a file is decoded: which track, and which channel instead of the mean."""

    track: int = 0
    channel: int | None = None
    is_final: bool = False


class _DecodeAgain(Exception):
    def __init__(self, choice: _Choice) -> None:
        super().__init__(choice)
        self.choice = choice


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
    blocks: list[Sound[Samples]] = []
    for block in read_blocks(path, sample_rate, limits or Limits()):
        if not block.first_sample:
            blocks.clear()
        blocks.append(block)
    whole = np.concatenate([block.waveform for block in blocks])
    return replace(blocks[-1], waveform=whole, first_sample=0)


def gathered(
    blocks: Iterable[Sound[Waveform]], folder: str | os.PathLike[str] | None = None
) -> Sound[Waveform]:
    """Return the sound of the blocks of `read_blocks`: a single one as it is, several on disk.

    Parameters
    ----------
    folder : path, optional
        Where the file with the samples is created, by default the system's temporary folder.

    Raises
    ------
    OSError
        The samples cannot be written, for example because the disk is full.
    """
    sound: Sound[Waveform] | None = None
    on_disk: SamplesOnDisk | None = None
    for block in blocks:
        if sound is None or not block.first_sample:
            sound, on_disk = block, None
            continue
        if on_disk is None:
            on_disk = SamplesOnDisk(folder)
            on_disk.append(sound.waveform[:])
        on_disk.append(block.waveform[:])
        sound = replace(block, waveform=on_disk, first_sample=0)
    if sound is None:
        raise ValueError("no samples")
    return sound


def read_blocks(
    path: str | os.PathLike[str] | int, sample_rate: int, limits: Limits
) -> Iterator[Sound[Samples]]:
    """Decode a file as `read` does; yield one block after another.

    All blocks but the last are at least BLOCK_S long, and none is twice as long. Damage at the end
    of a file raises AudioError only there, so nothing may be kept of the earlier blocks then. What
    only the end shows, for example that a track is silent, may begin the blocks anew: see
    `Sound.first_sample`.
    """
    with Bytes(io.FileIO(path)) as file:
        found = _identify(file, limits)
        choice = _Choice()
        while True:
            try:
                yield from _decoded(file, found, choice, sample_rate, limits)
            except _DecodeAgain as again:
                choice = again.choice
            else:
                return


def _identify(file: Bytes, limits: Limits) -> formats.Found:
    size_bytes = os.fstat(file.fileno()).st_size
    if size_bytes == 0:
        raise _refusal("empty", "The file is empty.", "Choose a file that contains audio.")
    if size_bytes > limits.size_bytes:
        size, limit = (round(one / 1e6) for one in (size_bytes, limits.size_bytes))
        hint = "Split it into parts, or save it in a compressed format such as FLAC."
        raise _refusal("too_large", f"The file is {size} MB; the limit is {limit} MB.", hint)
    found = formats.find(file)
    if found is None:
        raise not_audio("This file contains no audio.")
    return found


def _decoded(
    file: Bytes, found: formats.Found, choice: _Choice, sample_rate: int, limits: Limits
) -> Iterator[Sound[Samples]]:
    """Decode a file in one way. Raise _DecodeAgain if another way is needed."""
    stream = open_stream(part(file, found.start), found.name, choice.track)
    if found.skipped:
        stream.notices.add(notices.START_SKIPPED)
    if choice.channel is not None:
        stream.notices.add(notices.CHANNELS_CANCELLED)
    _check_shape(stream.rate_hz, stream.channels)
    if stream.declared_s is not None and stream.declared_s > limits.duration_s + MISSING_S:
        raise _too_long(stream.declared_s, limits)
    mixer = Mixer(choice.channel)
    parts = _resample(stream, mixer, sample_rate, limits, found.name)
    samples, peak = 0, 0.0
    # One block is kept back, because only the end completes the notices.
    kept: Sound[Samples] | None = None
    for block in _joined(parts, BLOCK_S * sample_rate):
        _check_samples(block, found.name)
        is_long = not samples or len(block) > MIXED_S * sample_rate
        if is_long and (channel := mixer.cancelled()) is not None:
            raise _DecodeAgain(replace(choice, channel=channel))
        if kept:
            yield kept
        kept = Sound(
            block, sample_rate, stream.rate_hz, stream.channels, found.name, first_sample=samples
        )
        samples += len(block)
        peak = max(peak, float(np.abs(block).max()))
    if peak < SILENT or samples < SHORTEST_S * sample_rate:
        _try_next_track(stream, choice)
    _check_duration(samples / sample_rate, found.name)
    if peak < SILENT:
        stream.notices.add(notices.SILENT)
    assert kept is not None
    codes = tuple(sorted(stream.notices))
    # A browser would play the file itself in another way. It skips tags only before raw frames.
    is_plain = not found.start or (found.name in TAGGED and not found.skipped)
    is_usual = (
        stream.rate_hz >= formats.MIN_PLAYABLE_HZ
        and stream.channels <= formats.MAX_PLAYABLE_CHANNELS
    )
    playable = stream.playable and is_plain and is_usual and set(codes) <= PLAYED_ALIKE
    recorded = recording_time.read(file, found.name, found.start)
    yield replace(kept, notices=codes, playable=playable, recorded=recorded)


def _try_next_track(stream: Stream, choice: _Choice) -> None:
    """Raise _DecodeAgain for the next track; for the first if all are silent or too short."""
    if choice.is_final or stream.tracks == 1:
        return
    if choice.track + 1 < min(stream.tracks, MAX_TRACKS):
        raise _DecodeAgain(_Choice(choice.track + 1))
    raise _DecodeAgain(_Choice(is_final=True))


# --- resampling and checks ----------------------------------------------------------------


def _resample(
    stream: Stream, mixer: Mixer, sample_rate: int, limits: Limits, name: str
) -> Iterator[Samples]:
    """Yield the mono waveform at `sample_rate` in parts, none of them longer than BLOCK_S.

    Each block is resampled from its own rate.
    """
    resampler, rate_hz = None, 0
    frames, decoded_s = 0, 0.0
    for block in stream.blocks:
        if resampler is None or block.rate_hz != rate_hz:
            _check_shape(block.rate_hz, block.samples.shape[1])
            if resampler:
                stream.notices.add(notices.RATE_CHANGED)
                yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            rate_hz = block.rate_hz
            resampler = soxr.ResampleStream(rate_hz, sample_rate, 1, dtype="float32")
        frames += len(block.samples)
        decoded_s += len(block.samples) / rate_hz
        if decoded_s > limits.duration_s + MISSING_S:
            raise _too_long(decoded_s, limits)
        mono = mixer.mono(block.samples)
        # At a very low rate, few frames are a long sound.
        for first in range(0, len(mono), BLOCK_S * rate_hz):
            yield resampler.resample_chunk(mono[first : first + BLOCK_S * rate_hz])
    if resampler:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
    _compare_length(stream, frames, decoded_s, name)


def _compare_length(stream: Stream, frames: int, decoded_s: float, name: str) -> None:
    """Compare the decoded with the declared length."""
    declared_s = stream.declared_s
    if declared_s is None:
        return
    if decoded_s < declared_s * 0.99 - MISSING_S:
        raise damaged(name, f"it ends after {decoded_s:.1f} s instead of {declared_s:.1f} s")
    if stream.declared_frames is None:
        return
    padding = 0 if stream.is_exact else PADDING_S * stream.rate_hz
    if frames < stream.declared_frames - padding and notices.PART_SKIPPED not in stream.notices:
        stream.notices.add(notices.CUT_SHORT)
    if frames > stream.declared_frames + padding:
        stream.notices.add(notices.LENGTH_WRONG)


def _joined(parts: Iterable[Samples], least_samples: int) -> Iterator[Samples]:
    """Yield parts joined into blocks of at least `least_samples`; the last one may be shorter."""
    block: list[Samples] = []
    samples = 0
    for one in parts:
        block.append(one)
        samples += len(one)
        if samples >= least_samples:
            yield np.concatenate(block)
            block, samples = [], 0
    if samples:
        yield np.concatenate(block)


def _check_shape(rate_hz: int, channels: int) -> None:
    if not 0 < rate_hz <= HIGHEST_RATE_HZ or not 0 < channels <= MAX_CHANNELS:
        detail = (
            f"The file has {channels} channels at {rate_hz:,} Hz; at most "
            f"{MAX_CHANNELS} channels and {HIGHEST_RATE_HZ:,} Hz are supported."
        )
        raise _refusal("unsupported", detail, "Save it as mono or stereo at 44.1 kHz.")


def _check_samples(block: Samples, name: str) -> None:
    if not np.isfinite(block).all() or np.abs(block).max() > LOUDEST:
        raise damaged(name, "some of its samples are not valid numbers or are far out of range")


def _check_duration(duration_s: float, name: str) -> None:
    if not duration_s:
        detail = f"This {name} file has a header but no samples."
        raise _refusal("empty", detail, "Record or export it again.")
    if duration_s < SHORTEST_S:
        detail = f"The sound lasts {duration_s:.3f} s; at least {SHORTEST_S} s is required."
        raise _refusal("too_short", detail, "Choose a longer recording.")


def _refusal(code: str, detail: str, hint: str) -> AudioError:
    return AudioError(Problem(code, detail, hint))


def _too_long(duration_s: float, limits: Limits) -> AudioError:
    lasts, limit = _minutes(duration_s), _minutes(limits.duration_s)
    detail = f"The sound lasts {lasts} or more; the limit is {limit}."
    return _refusal("too_long", detail, "Split it into shorter parts.")


def _minutes(duration_s: float) -> str:
    return f"{duration_s / 60:.1f} minutes" if duration_s >= 90 else f"{duration_s:.0f} s"
