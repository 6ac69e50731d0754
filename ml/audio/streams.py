"""Open a file with the decoder for its format: libsndfile or FFmpeg."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import av
import numpy as np
import soundfile
from av.audio.frame import AudioFrame, format_dtypes
from av.audio.plane import AudioPlane
from av.audio.stream import AudioStream
from av.codec.context import Flags2
from av.container import InputContainer

from ml import notices
from ml.audio import formats, headers, mpeg, wav
from ml.audio.file_views import Bytes, part
from ml.audio.waveform import Samples
from ml.errors import AudioError, Problem

BLOCK_FRAMES = 65_536
# A declared length within this of the decoded one is no fault: encoders pad to whole frames.
PADDING_S = 0.1

UNDECODABLE = "its audio cannot be decoded"
UNREADABLE = "its header cannot be read"
SNDFILE_NO_MEMORY = 17
SNDFILE_ENCODINGS = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
# FFmpeg's own decoders of AMR stop at pauses (DTX), and are up to 4 dB too quiet. These decode
# anything, so the type in a frame's header is checked: speech, a pause, or no data.
AMR_DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}
AMR_TYPES = {"amrnb": {*range(9), 15}, "amrwb": {*range(10), 14, 15}}
AMR_BYTES = {"amrnb": headers.AMR_NB_BYTES, "amrwb": headers.AMR_WB_BYTES}
# Some browsers play no other depths.
PLAYABLE_FLAC_BITS = (16, 24)
# Encodings with checksums. A frame with a wrong one is left out, instead of decoded as noise.
CHECKED = {"flac", "ac3", "eac3", "wavpack"}
# Formats whose frames FFmpeg looks for in the bytes: tags and padding may come between or after
# them, which it cannot decode.
FRAMED = ("MP3", "AAC", "AC-3", "E-AC-3")
TAGS = (b"ID3", b"TAG", b"APET")
RAW_FRAMES = (*FRAMED, "FLAC", "MPEG-TS")
# A longer time without a frame is a missing part: containers round the times to 1 ms. FLAC counts
# samples.
GAP_S, FLAC_GAP_S = 0.1, 1e-5


@dataclass(frozen=True, slots=True)
class Block:
    """Decoded samples, (frames, channels) float32, and their rate, which may change in a file."""

    samples: Samples
    rate_hz: int


@dataclass(slots=True)
class Stream:
    """A decoder that is ready to run.

    Attributes
    ----------
    rate_hz, channels : int
        As in the header.
    declared_frames : int or None
        What the header declares; `is_exact` if every sample counts.
    declared_s : float or None
        The same in seconds, or what the container declares, which is rounded.
    playable : bool
        Whether current browsers play the file.
    tracks : int
        Number of audio tracks that can be decoded.
    notices : set of str
        Codes of `ml.notices`. Decoding adds to them.
    """

    blocks: Iterator[Block]
    rate_hz: int
    channels: int
    playable: bool
    declared_frames: int | None = None
    declared_s: float | None = None
    is_exact: bool = False
    tracks: int = 1
    notices: set[str] = field(default_factory=set)


def open_stream(file: Bytes, name: str, track: int = 0) -> Stream:
    """Open a file of the format `name`.

    Parameters
    ----------
    track : int
        Which of the tracks that can be decoded, from 0.

    Raises
    ------
    AudioError
        Also while the blocks are read.
    """
    if name in (*FRAMED, "AMR") and headers.has_id3v1(file):
        file = part(file, 0, file.seek(-headers.ID3V1_BYTES, io.SEEK_END))
    if headers.is_cut(file, name):
        raise damaged(name, "the end of the file is missing")
    if name in formats.SNDFILE_FORMATS:
        return _open_sndfile(file, name)
    return _open_ogg(file, track) if name == "OGG" else _open_av(file, name, track)


def _open_sndfile(file: Bytes, name: str) -> Stream:
    declared = headers.declared_frames(file, name)
    patches, rest_frames = (wav.patches(file), wav.rest_frames(file)) if name == "WAV" else ({}, 0)
    is_plain = not patches and (name != "WAV" or file.peek(4)[:4] == b"RIFF")
    with sound_or_damage(name, UNREADABLE):
        sound = soundfile.SoundFile(part(file, 0, patches=patches))
    if not sound.subtype.startswith(SNDFILE_ENCODINGS):
        kind = sound.subtype_info
        raise unsupported(f"This {name} file uses the encoding {kind}, which is not supported.")

    def blocks() -> Iterator[Block]:
        with sound:
            while True:
                with sound_or_damage(name, UNDECODABLE):
                    block = sound.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
                if not len(block):
                    return
                yield Block(block, sound.samplerate)

    return Stream(
        blocks(),
        sound.samplerate,
        sound.channels,
        playable=is_plain and sound.subtype in formats.PLAYABLE.get(name, ()),
        declared_frames=sound.frames if declared is None else declared,
        declared_s=(sound.frames if declared is None else declared) / sound.samplerate,
        is_exact=True,
        notices={notices.PART_SKIPPED} if rest_frames > GAP_S * sound.samplerate else set(),
    )


def _open_ogg(file: Bytes, track: int) -> Stream:
    """Open the links of a chained file one after the other: FFmpeg cannot change the encoding."""
    ogg = headers.read_ogg(file)
    if ogg.end > file.seek(0, 2):
        raise damaged("OGG", "the end of the file is missing")
    if len(ogg.links) > headers.MAX_LINKS:
        raise unsupported(f"This OGG file has more than {headers.MAX_LINKS} parts.")
    links = [part(file, start, end) for start, end in ogg.links]
    first = _open_av(links[0], "OGG", track)
    whole = Stream(
        _joined(links, first, track), first.rate_hz, first.channels, first.playable,
        tracks=first.tracks if len(links) == 1 else 1, notices=first.notices,
    )  # fmt: skip
    if len(links) > 1:
        whole.notices.add(notices.PARTS_JOINED)
    if ogg.has_gaps:
        whole.notices.add(notices.PART_SKIPPED)
    if not ogg.has_end:
        whole.notices.add(notices.CUT_SHORT)
    return whole


def _joined(links: list[Bytes], first: Stream, track: int) -> Iterator[Block]:
    yield from first.blocks
    for link in links[1:]:
        stream = _open_av(link, "OGG", track)
        yield from stream.blocks
        first.notices |= stream.notices


def _open_av(file: Bytes, name: str, track: int) -> Stream:
    # Before FFmpeg reads, because it expects that nobody else moves the file's position.
    declared = headers.declared_frames(file, name)
    # Of a file whose rate changes, FFmpeg states another than the first.
    first_hz = mpeg.sample_rate(file.peek(mpeg.HEADER_BYTES)) if name == "MP3" else None
    usual_depth = name != "FLAC" or headers.flac_bits(file) in PLAYABLE_FLAC_BITS
    has_duration = name == "WebM" and headers.has_webm_duration(file)
    found: set[str] = set()
    if headers.is_short(file, name):
        found.add(notices.CUT_SHORT)
    form, codecs = formats.AV_FORMATS[name], ",".join(sorted(formats.AV_CODECS))
    allowed = {"protocol_whitelist": "", "format_whitelist": form, "codec_whitelist": codecs}
    # The format is explicit and the bytes come from our own handle: a playlist inside
    # the file cannot make FFmpeg open anything else.
    with sound_or_damage(name, UNREADABLE):
        container = av.open(file, "r", format=form, options=allowed, metadata_errors="replace")
    tracks = [one for one in container.streams.audio if _codec(one) in formats.AV_CODECS]
    if not container.streams.audio:
        raise not_audio(f"This {name} file has no audio track.")
    if not tracks:
        raise unsupported(f"This {name} file uses an encoding that is not supported.")
    stream = tracks[track]
    rate_hz, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    rate_hz = first_hz or rate_hz
    if not rate_hz or not channels:
        raise damaged(name, "its header does not specify a sample rate or a number of channels")
    is_plain = usual_depth and (len(container.streams) == 1 or name in ("MP4", "WebM"))
    if stream is not container.streams.audio[0]:
        found.add(notices.SECOND_TRACK_USED)
    return Stream(
        _grouped(_av_blocks(container, stream, name, declared, found)),
        rate_hz,
        channels,
        playable=is_plain and _codec(stream) in formats.PLAYABLE.get(name, ()),
        declared_frames=declared,
        declared_s=declared / rate_hz
        if declared
        else _container_s(container, stream, name, has_duration),
        is_exact=name in ("FLAC", "WavPack"),
        tracks=len(tracks),
        notices=found,
    )


def _codec(stream: AudioStream) -> str:
    return stream.codec_context.name if stream.codec_context else ""


def _av_blocks(
    container: InputContainer,
    stream: AudioStream,
    name: str,
    declared: int | None,
    found: set[str],
) -> Iterator[Block]:
    """Decode a track. Add to `found` what happened."""
    decode = _decoder(stream)
    failed, zeros, end_s, decoded_s = False, False, None, 0.0
    # The times of the frames may not show what is missing.
    track_s = _track_s(stream) if name in ("OGG", "AVI") else None
    gap_s = FLAC_GAP_S if name == "FLAC" else GAP_S
    with container, sound_or_damage(name, UNDECODABLE):
        for packet in _packets(container, stream, name, found):
            if name in FRAMED and _is_cut(packet):
                found.add(notices.CUT_SHORT)
            try:
                decoded = decode(packet)
            except MemoryError:
                raise
            except av.error.FFmpegError:
                if name not in RAW_FRAMES:
                    raise
                # Zeros at the end are padding.
                head = bytes(packet)[:4]
                zeros = zeros or head == bytes(4)
                failed = failed or not (head == bytes(4) or head.startswith(TAGS))
                continue
            for frame in decoded:
                start_s = None if name in FRAMED else frame.time
                has_gap = end_s is not None and start_s is not None and start_s > end_s + gap_s
                # What follows a part that could not be decoded shows that it was not the end.
                if failed or zeros or has_gap:
                    found.add(notices.PART_SKIPPED)
                    failed = zeros = False
                block = _to_array(frame)
                # A frame after damage may have no time.
                start_s = end_s if start_s is None else start_s
                end_s = None if start_s is None else start_s + len(block) / frame.sample_rate
                decoded_s += len(block) / frame.sample_rate
                yield Block(block, frame.sample_rate)
    if track_s and decoded_s < track_s - GAP_S:
        found.add(notices.PART_SKIPPED)
    if failed and declared is None and notices.CUT_SHORT not in found:
        found.add(notices.PART_SKIPPED)


def _grouped(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield larger blocks: most frames are short, and each has a cost."""
    group: list[Samples] = []
    frames, kind = 0, (0, 0)
    for block in blocks:
        one = (block.rate_hz, block.samples.shape[1])
        if group and (one != kind or frames >= BLOCK_FRAMES):
            yield Block(np.concatenate(group), kind[0])
            group, frames = [], 0
        kind = one
        group.append(block.samples)
        frames += len(block.samples)
    if group:
        yield Block(np.concatenate(group), kind[0])


def _packets(
    container: InputContainer, stream: AudioStream, name: str, found: set[str]
) -> Iterator[av.Packet]:
    """Yield the packets of a track. What follows the last frame cannot be divided into any."""
    try:
        yield from container.demux(stream)
    except (av.error.InvalidDataError, av.error.BlockingIOError):
        if name not in ("AAC", "WavPack", "MPEG-TS"):
            raise
        # The header of a WavPack file says whether all of it was read.
        if name != "WavPack":
            found.add(notices.PART_SKIPPED)


def _decoder(stream: AudioStream) -> Callable[[Any], list[AudioFrame]]:
    context = stream.codec_context
    context.thread_count = 1
    if context.name == "alac":
        # FFmpeg's reader of CAF shortens the last frame, which is already short.
        context.flags2 |= Flags2.skip_manual
    if context.name in AMR_DECODERS:
        decoder: Any = av.CodecContext.create(AMR_DECODERS[context.name], "r")
        decoder.sample_rate, decoder.layout = context.sample_rate, "mono"
        return partial(_decode_amr, decoder, context.name)
    if context.name in CHECKED:
        context.options = {"err_detect": "crccheck+explode"}
    return stream.decode


def _decode_amr(decoder: Any, name: str, packet: av.Packet) -> list[AudioFrame]:
    """Decode a packet of one frame, which may be cut, or of several."""
    data, place, first_bytes = bytes(packet) if packet.size else b"", 0, 0
    while place < len(data):
        kind = data[place] >> 3 & 0x0F
        if data[place] & 0x83 or kind not in AMR_TYPES[name]:
            raise ValueError("no AMR frame")
        place += AMR_BYTES[name][kind]
        first_bytes = first_bytes or place
    if place > max(first_bytes, len(data)):
        raise ValueError("no whole AMR frames")
    return decoder.decode(packet if packet.size else None)


def _is_cut(packet: av.Packet) -> bool:
    """Return whether this is the start of a frame: the parser passes on what the file ends with."""
    head = bytes(packet)[: mpeg.HEADER_BYTES] if packet.size else b""
    frame_bytes = mpeg.frame_bytes(head) or mpeg.ac3_frame_bytes(head)
    return frame_bytes is not None and frame_bytes > packet.size


def _to_array(frame: AudioFrame) -> Samples:
    """Return a frame as (frames, channels) float32 in [-1, 1]."""
    # Not `to_ndarray`, which takes whatever follows the eighth plane in memory for another one.
    channels, is_planar = frame.layout.nb_channels, frame.format.is_planar
    planes, count = (channels, frame.samples) if is_planar else (1, frame.samples * channels)
    dtype = format_dtypes[frame.format.name]
    buffers = [memoryview(AudioPlane(frame, number)) for number in range(planes)]
    values = [np.frombuffer(one, dtype, count) for one in buffers]
    # A sound has hundreds of frames, most of one plane: stacking is slow.
    samples = np.stack(values, axis=1) if planes > 1 else values[0].reshape(-1, channels).copy()
    if samples.dtype == np.float32:
        return samples
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - np.float32(128)) / np.float32(128)
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) / np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    with np.errstate(over="ignore"):  # infinity is refused later
        return samples.astype(np.float32)


def _container_s(
    container: InputContainer, stream: AudioStream, name: str, has_duration: bool
) -> float | None:
    """Return the duration that the container declares, or None where FFmpeg only guesses it."""
    if name in ("MP4", "CAF", "W64"):
        return _track_s(stream)
    alone = len(container.streams) == 1
    if name == "WebM" and container.duration and alone and (has_duration or not stream.bit_rate):
        return (container.duration - (container.start_time or 0)) / av.time_base
    return None


def _track_s(stream: AudioStream) -> float | None:
    duration, unit = stream.duration, stream.time_base
    return float(duration * unit) if duration and unit else None


@contextmanager
def sound_or_damage(name: str, what: str) -> Iterator[None]:
    """Turn a decoder's error into an AudioError.

    Raise MemoryError if the decoder ran out of memory.
    """
    try:
        yield
    except (MemoryError, AudioError):
        raise
    except (av.error.FFmpegError, soundfile.LibsndfileError, ValueError) as error:
        if getattr(error, "code", None) == SNDFILE_NO_MEMORY:
            raise MemoryError from error
        raise damaged(name, what) from error


# --- problems -----------------------------------------------------------------------------


def not_audio(detail: str) -> AudioError:
    hint = f"Choose a {formats.FORMATS_READ} file that contains audio."
    return AudioError(Problem("not_audio", detail, hint))


def unsupported(detail: str) -> AudioError:
    return AudioError(Problem("unsupported", detail, "Save it as 16-bit WAV or FLAC."))


def damaged(name: str, what: str) -> AudioError:
    hint = "Copy it again from its source, or export it again as WAV or FLAC."
    return AudioError(Problem("damaged", f"The {name} file is damaged: {what}.", hint))
