"""Compare the decoder with the `ffmpeg` program on generated files: `make formats`.

Files are drawn from a seed: formats, rates, channels and depths, some of them cut, with other data
before the sound, with tags, or with zeros instead of a part. Each must have the same duration
(within 1 ms, or one frame of a lossy codec) and the same level (within 0.1 dB) as FFmpeg finds, or
have a notice that a part is missing, or be refused for a reason that fits.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.audio.decode import Sound, read
from ml.audio.streams import GAP_S
from ml.errors import AudioError
from tests import fixtures
from tests.fixtures import FFmpegOptions, Samples

RATE_HZ = 32_000
EXACT_S = 0.001
LEVEL_DB = 0.1
# FFmpeg's own decoder of AMR is several dB too quiet for some tones; ours is another one, and is
# compared with what was encoded. The codec itself changes the level.
AMR_DB = 1.0
HIGH = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000)
USUAL = (16_000, 22_050, 32_000, 44_100, 48_000)
MPEG1 = (32_000, 44_100, 48_000)
WHOLE, CUT, BEFORE, TAGGED, HOLE = CHANGES = ("whole", "cut", "data before", "tags", "hole")


@dataclass(frozen=True, slots=True)
class Kind:
    """A format and codec.

    Attributes
    ----------
    how : FFmpegOptions or dict
        For FFmpeg, or soundfile's format and subtype.
    rates_hz, channels : tuple of int
        What the encoder accepts.
    frame : int
        Samples in a frame of a lossy codec; 0 if every sample is exact.
    """

    format: str
    codec: str
    how: FFmpegOptions | dict[str, str]
    rates_hz: tuple[int, ...] = HIGH
    channels: tuple[int, ...] = (1, 2)
    frame: int = 0


def _sndfile(form: str, *subtypes: str, channels: tuple[int, ...] = (1, 2, 6)) -> Iterator[Kind]:
    for subtype in subtypes:
        yield Kind(form, subtype, {"format": form, "subtype": subtype}, HIGH, channels)


PCM = ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
KINDS = (
    *_sndfile("WAV", "PCM_U8", *PCM),
    *_sndfile("WAVEX", "PCM_16", "PCM_24"),
    *_sndfile("RF64", "PCM_16", "FLOAT"),
    *_sndfile("AIFF", "PCM_S8", *PCM[:5]),
    *_sndfile("AU", "PCM_S8", *PCM),
    *_sndfile("W64", "PCM_U8", *PCM),
    *_sndfile("CAF", "PCM_S8", *PCM),
    *_sndfile("FLAC", "PCM_S8", "PCM_16", "PCM_24"),
    Kind("OGG", "VORBIS", {"format": "OGG", "subtype": "VORBIS"}, USUAL, frame=2048),
    Kind("OGG", "OPUS", {"format": "OGG", "subtype": "OPUS"}, (16_000, 48_000), frame=960),
    Kind("CAF", "alac", FFmpegOptions("caf", "alac"), USUAL),
    Kind("OGG", "flac", FFmpegOptions("ogg", "flac"), USUAL),
    Kind("MKV", "flac", FFmpegOptions("matroska", "flac"), USUAL),
    Kind("M4A", "alac", FFmpegOptions("ipod", "alac"), USUAL),
    Kind("WavPack", "wavpack", FFmpegOptions("wv", "wavpack"), USUAL),
    Kind("AVI", "pcm_s16le", FFmpegOptions("avi", "pcm_s16le"), USUAL),
    Kind("MOV", "pcm_s24be", FFmpegOptions("mov", "pcm_s24be"), USUAL),
    Kind("MP3", "libmp3lame", FFmpegOptions("mp3", "libmp3lame"), USUAL, frame=1152),
    Kind("MP3", "VBR", FFmpegOptions("mp3", "libmp3lame", quality=2), USUAL, frame=1152),
    Kind("MP3", "bare", fixtures.FFMPEG_FORMATS["MP3 bare"], USUAL, frame=1152),
    Kind("MP2", "mp2", FFmpegOptions("mp2", "mp2"), MPEG1, frame=1152),
    Kind("AAC", "aac", FFmpegOptions("adts", "aac"), USUAL, frame=1024),
    Kind("M4A", "aac", FFmpegOptions("ipod", "aac"), USUAL, frame=1024),
    Kind("MP4", "ac3", FFmpegOptions("mp4", "ac3"), MPEG1, frame=1536),
    Kind("AC-3", "ac3", FFmpegOptions("ac3", "ac3"), MPEG1, frame=1536),
    Kind("E-AC-3", "eac3", FFmpegOptions("eac3", "eac3"), MPEG1, frame=1536),
    Kind("MPEG-TS", "mp2", FFmpegOptions("mpegts", "mp2"), MPEG1, frame=1152),
    Kind("MPEG-TS", "aac", FFmpegOptions("mpegts", "aac"), MPEG1, frame=1024),
    Kind("MPEG-TS", "ac3", FFmpegOptions("mpegts", "ac3"), MPEG1, frame=1536),
    Kind("AVI", "mp3", FFmpegOptions("avi", "libmp3lame"), MPEG1, frame=1152),
    Kind("WebM", "opus", FFmpegOptions("webm", "libopus"), (48_000,), frame=960),
    Kind("MKV", "mp3", FFmpegOptions("matroska", "libmp3lame"), MPEG1, frame=1152),
    Kind("WMA", "wmav2", FFmpegOptions("asf", "wmav2"), (22_050, 44_100), frame=2048),
    Kind("AMR", "amrnb", FFmpegOptions("amr", "libopencore_amrnb"), (8_000,), (1,), frame=160),
    Kind("3GP", "amrnb", FFmpegOptions("3gp", "libopencore_amrnb"), (8_000,), (1,), frame=160),
)  # fmt: skip
# Where the sound may begin later than the file.
SEARCHED = ("MP3", "AAC", "MP2")
# Frames and nothing else: a cut between two of them cannot be seen.
BARE = ("AMR", "AAC", "MP2", "AC-3", "E-AC-3")
BEFORE_DATA = (b"\n", bytes(500), b"HTTP/1.1 200 OK\r\n\r\n")


@dataclass(frozen=True, slots=True)
class Case:
    kind: Kind
    rate_hz: int
    channels: int
    change: str
    samples: Samples
    whole: bytes
    data: bytes

    def __str__(self) -> str:
        kind = f"{self.kind.format} {self.kind.codec}"
        return f"{kind}, {self.rate_hz} Hz, {self.channels} channels, {self.change}"


def cases(count: int, seed: int = 1) -> Iterator[Case]:
    """Yield `count` files; the same for the same seed. Every kind comes before any comes again."""
    for number in range(count):
        draw = np.random.default_rng((seed, number))
        kind = KINDS[number % len(KINDS)]
        rate_hz = int(draw.choice(kind.rates_hz))
        channels = int(draw.choice(kind.channels))
        # Whole at first, then every change in turn.
        change = CHANGES[number // len(KINDS) % len(CHANGES)]
        samples = _sound(draw, rate_hz, channels)
        whole = _encode(kind, samples, rate_hz)
        data = _changed(whole, change, draw)
        yield Case(kind, rate_hz, channels, change, samples, whole, data)


def _sound(draw: np.random.Generator, rate_hz: int, channels: int) -> Samples:
    """Return tones that every rate can hold, another in each channel."""
    duration_s = float(draw.uniform(1.0, 3.0))
    tones = [
        fixtures.tone(float(draw.uniform(200, 1500)), duration_s, rate_hz, 0.3)
        for _ in range(channels)
    ]
    return tones[0] if channels == 1 else np.stack(tones, axis=1)


def _encode(kind: Kind, samples: Samples, rate_hz: int) -> bytes:
    if isinstance(kind.how, FFmpegOptions):
        return fixtures.encode_with_ffmpeg(samples, rate_hz, kind.how)
    return fixtures.encode(samples, rate_hz, "WAV", **kind.how)


def _changed(whole: bytes, change: str, draw: np.random.Generator) -> bytes:
    if change == CUT:
        return whole[: int(len(whole) * draw.uniform(0.4, 0.95))]
    if change == BEFORE:
        return BEFORE_DATA[int(draw.integers(len(BEFORE_DATA)))] + whole
    if change == TAGGED:
        return fixtures.id3_tag(int(draw.integers(1, 3000))) + whole + b"TAG" + bytes(125)
    if change == HOLE:
        first = int(len(whole) * draw.uniform(0.3, 0.6))
        zeros = int(len(whole) * draw.uniform(0.02, 0.2))
        return whole[:first] + bytes(zeros) + whole[first + zeros :]
    return whole


# --- comparison -------------------------------------------------------------------------------


def outcome(case: Case, path: Path) -> str:
    """Return "same", "refused: CODE", or "different: …", which is a fault."""
    path.write_bytes(case.data)
    try:
        sound = read(path, RATE_HZ)
    except AudioError as error:
        code = error.problem.code
        return f"{'refused' if _may_refuse(case, code) else 'different: refused'}: {code}"
    frame_s = case.kind.frame / _decoded_rate_hz(case)
    missing_s = len(case.samples) / case.rate_hz - sound.duration_s
    if case.change == HOLE and missing_s > max(GAP_S, frame_s):
        return "same" if sound.notices else f"different: {missing_s:.3f} s are missing silently"
    # Other data shifts what the offsets in a file point at; FFmpeg does not see that.
    path.write_bytes(case.data if case.change in (CUT, HOLE) else case.whole)
    theirs = _by_ffmpeg(path, case)
    if theirs is None:
        return "different: FFmpeg reads nothing"
    is_bare = case.kind.format in BARE or case.kind.codec == "bare"
    if case.change == CUT and not sound.notices and not is_bare:
        return "different: nothing says that the end is missing"
    return _difference(case, sound, theirs) or "same"


def _may_refuse(case: Case, code: str) -> bool:
    if case.change in (CUT, HOLE):
        return code == "damaged"
    return case.change == BEFORE and case.kind.format not in SEARCHED and code == "not_audio"


def _by_ffmpeg(path: Path, case: Case) -> Samples | None:
    """Return the mean of the channels at the file's rate, or None if FFmpeg finds no sound."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:a:0", "-f", "f32le"]
    command += ["-ar", str(_decoded_rate_hz(case)), "-ac", str(case.channels), "-"]
    raw = subprocess.run(command, capture_output=True, check=False).stdout
    samples = np.frombuffer(raw, np.float32)
    return samples.reshape(-1, case.channels).mean(axis=1) if len(samples) else None


def _decoded_rate_hz(case: Case) -> int:
    return 48_000 if "opus" in case.kind.codec.lower() else case.rate_hz


def _difference(case: Case, sound: Sound[Samples], theirs: Samples) -> str:
    rate_hz = _decoded_rate_hz(case)
    frame_s = case.kind.frame / rate_hz
    seconds = sound.duration_s - len(theirs) / rate_hz
    if abs(seconds) > max(EXACT_S, frame_s + 1 / RATE_HZ):
        return f"different: {1000 * seconds:+.1f} ms"
    is_amr = case.kind.codec == "amrnb"
    if is_amr and case.change == HOLE:
        return ""
    expected, allowed_db = (case.samples, AMR_DB) if is_amr else (theirs, LEVEL_DB)
    decibels = 20 * np.log10(_level(sound.waveform) / _level(expected))
    return "" if abs(decibels) <= allowed_db else f"different: {decibels:+.2f} dB"


def _level(samples: Samples) -> float:
    """Return the RMS of the middle 80 %: lossy codecs differ in how they begin and end."""
    edge = len(samples) // 10
    middle = samples[edge : len(samples) - edge].astype(np.float64)
    return float(np.sqrt(np.mean(middle**2))) + 1e-9


def compare(count: int, seed: int = 1) -> dict[str, Counter[str]]:
    """Return the number of files by format and codec, and by outcome."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(count, seed):
            result = outcome(case, Path(folder) / "sound")
            key = f"{case.kind.format} {case.kind.codec}"
            found[key][f"{case}: {result}" if result.startswith("different") else result] += 1
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.compare_ffmpeg", description=__doc__)
    parser.add_argument("--files", type=int, default=len(CHANGES) * len(KINDS))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = compare(options.files, options.seed)
    total = sum(found.values(), Counter())
    faults = [name for name in total if "different" in name]
    print(json.dumps({"files": total.total(), "formats": found, "different": faults}, indent=1))
    return len(faults) > 0


if __name__ == "__main__":
    sys.exit(main())
