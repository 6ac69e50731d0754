"""Rejected files and the problems they give."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ml.audio.decode import Limits
from ml.errors import AudioError, Problem
from ml.tests.conftest import Decode
from tests import fixtures

Refuse = Callable[..., Problem]


@pytest.fixture
def refuse(decode: Decode) -> Refuse:
    """Return a function that decodes bytes, checks the problem's texts and returns it."""

    def refuse(data: bytes, name: str = "sound.wav", limits: Limits | None = None) -> Problem:
        with pytest.raises(AudioError) as caught:
            decode(data, name, limits)
        problem = caught.value.problem
        assert problem.code
        assert problem.detail.endswith(".")
        assert problem.hint.endswith(".")
        return problem

    return refuse


def cut(form: str, share: float, duration_s: float = 3.0) -> bytes:
    rate_hz = fixtures.RATES_HZ.get(form, 44_100)
    whole = fixtures.encode(fixtures.tone(1000, duration_s, rate_hz), rate_hz, form)
    return whole[: int(len(whole) * share)]


# --- not audio ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"Dear reader, this is no sound at all. " * 50,
        b"\x89PNG\r\n\x1a\n" + bytes(500),
        b"PK\x03\x04" + bytes(500),
        b"<html><body>404</body></html>",
        b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(100),
        b"R",
        bytes(1000),
    ],
)
def test_a_file_without_audio_is_not_audio_under_any_name(refuse: Refuse, data: bytes) -> None:
    assert refuse(data, "sound.wav").code == "not_audio"


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile {other}\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
        "[playlist]\nFile1={other}\nNumberOfEntries=1\n",
    ],
)
@pytest.mark.parametrize("name", ["list.wav", "list.mp3", "list.m3u8", "list.ffconcat"])
def test_a_playlist_never_opens_the_file_it_names(
    refuse: Refuse, tmp_path: Path, playlist: str, name: str
) -> None:
    other = tmp_path / "other.wav"
    other.write_bytes(fixtures.encode(fixtures.tone()))
    for named in ("other.wav", str(other), other.as_uri()):
        data = playlist.format(other=named).encode()
        assert refuse(data, name).code == "not_audio"
        # Not even if the file starts like a format that FFmpeg reads.
        for magic in (fixtures.id3_tag(), b"\xff\xf1P\x80", b"\x1aE\xdf\xa3", b"#!AMR\n"):
            refuse(magic + b"\n" + data, name)


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_film_without_an_audio_track_is_not_audio(refuse: Refuse, container: str) -> None:
    error = refuse(fixtures.video_without_sound(container))
    assert error.code == "not_audio"
    assert "no audio track" in error.detail


# --- empty, too short, too long -----------------------------------------------------------


def test_an_empty_file_is_empty(refuse: Refuse) -> None:
    assert refuse(b"").code == "empty"


@pytest.mark.parametrize("form", ["WAV", "AIFF", "OGG"])
def test_a_header_without_samples_is_empty(refuse: Refuse, form: str) -> None:
    assert refuse(fixtures.encode(fixtures.silence(0.0, 44_100), 44_100, form)).code == "empty"


def test_a_chunk_after_an_empty_wav_is_not_read_as_audio(refuse: Refuse) -> None:
    wav = (
        fixtures.encode(fixtures.silence(0.0)) + b"LIST" + struct.pack("<I", 40_000) + bytes(40_000)
    )
    wav = wav[:4] + struct.pack("<I", len(wav) - 8) + wav[8:]
    assert refuse(wav).code == "empty"


def test_a_twentieth_of_a_second_is_too_short(refuse: Refuse) -> None:
    assert refuse(fixtures.encode(fixtures.tone(duration_s=0.05))).code == "too_short"


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_a_tenth_of_a_second_is_enough(decode: Decode, rate_hz: int) -> None:
    samples = fixtures.noise(1.0, rate_hz)[: -(-rate_hz // 10)]
    assert decode(fixtures.encode(samples, rate_hz)).duration_s == pytest.approx(0.1, abs=1e-4)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "MP3", "MP3 bare", "AAC", "M4A", "WebM"])
def test_it_rejects_sounds_longer_than_the_limit(refuse: Refuse, form: str) -> None:
    error = refuse(cut(form, 1.0), limits=Limits(duration_s=2.0))
    assert error.code == "too_long"
    assert "2 s" in error.detail


@pytest.mark.parametrize("form", ["WAV", "FLAC", "MP3", "MP3 bare", "AAC", "M4A", "WebM"])
def test_it_accepts_sounds_as_long_as_the_limit(decode: Decode, form: str) -> None:
    decode(cut(form, 1.0), limits=Limits(duration_s=3.0))


def test_the_limit_counts_samples_instead_of_trusting_the_header(refuse: Refuse) -> None:
    flac = bytearray(fixtures.encode(fixtures.silence(30.0), form="FLAC"))
    flac[21] &= 0xF0  # "length unknown"
    flac[22:26] = bytes(4)
    assert refuse(bytes(flac), limits=Limits(duration_s=10.0)).code == "too_long"


def test_it_rejects_only_files_larger_than_the_limit(refuse: Refuse, decode: Decode) -> None:
    data = fixtures.encode(fixtures.tone())
    decode(data, limits=Limits(size_bytes=len(data)))
    assert refuse(data, limits=Limits(size_bytes=len(data) - 1)).code == "too_large"


# --- damaged ------------------------------------------------------------------------------


def test_a_wavpack_with_a_wrong_checksum_is_damaged(refuse: Refuse) -> None:
    data = bytearray(fixtures.encode(fixtures.noise(2.0), form="WavPack"))
    data[len(data) // 2] ^= 0xFF
    assert refuse(bytes(data)).code == "damaged"


@pytest.mark.parametrize("share", [0.3, 0.6])
@pytest.mark.parametrize(
    "form", ["WAV", "AIFF", "MP3", "MP3 VBR", "WebM", "M4A streamed", "FLAC", "OGG", "M4A"]
)
def test_a_truncated_file_is_damaged(refuse: Refuse, form: str, share: float) -> None:
    error = refuse(cut(form, share))
    assert error.code == "damaged"
    if form in ("WAV", "AIFF"):
        assert f"ends after {3 * share:.1f} s instead of 3.0 s" in error.detail
    if form in ("MP3", "MP3 VBR", "WebM"):
        assert "of 3.0 s" in error.detail


@pytest.mark.parametrize("form", ["M4A", "M4A streamed", "MP4 with video", "OGG", "Opus"])
def test_a_file_truncated_at_any_place_is_damaged(refuse: Refuse, form: str) -> None:
    whole = cut(form, 1.0, 0.5)
    for kept in range(40, len(whole), 97):
        assert refuse(whole[:kept]).code == "damaged"


def test_an_m4a_with_a_64_bit_box_is_read_whole_and_rejected_truncated(
    refuse: Refuse, decode: Decode
) -> None:
    box = b"\x00\x00\x00\x01free" + (1000).to_bytes(8, "big") + bytes(984)
    m4a = cut("M4A", 1.0, 0.5)
    decode(m4a + box)
    assert refuse(m4a + box[:500]).code == "damaged"


def test_an_m4a_whose_last_box_is_open_ended_is_checked_by_its_duration(
    refuse: Refuse, decode: Decode
) -> None:
    whole = bytearray(cut("M4A streamed", 1.0, 0.8))
    place = whole.index(b"mdat")
    whole[place - 4 : place] = bytes(4)  # "up to the end of the file"
    decode(bytes(whole))
    # Some of these ends fall between two packets, where no decoder complains.
    middle = (place + len(whole)) // 2
    for kept in range(middle, middle + 220):
        assert refuse(bytes(whole[:kept])).code == "damaged"


def test_an_mp3_with_little_left_is_damaged(refuse: Refuse) -> None:
    whole = cut("MP3", 1.0)
    for kept in (*range(4, 100), 300, 700, 1500):
        assert refuse(whole[:kept]).code == "damaged"
    assert refuse(cut("MP3 bare", 1.0)[:300]).code == "too_short"


def test_half_a_second_missing_from_a_long_recording_is_detected(refuse: Refuse) -> None:
    whole = fixtures.encode(fixtures.silence(20.0, 8000), 8000)
    assert refuse(whole[: len(whole) - 8000]).code == "damaged"


MAGICS = {
    "WAV": b"RIFF\xff\xff\x00\x00WAVE",
    "AIFF": b"FORM\x00\x00\xff\xffAIFF",
    "FLAC": b"fLaC",
    "OGG": b"OggS",
    "MP4": b"\x00\x00\x00\x18ftypM4A ",
    "WebM": b"\x1aE\xdf\xa3",
    "WMA": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    "AMR": b"#!AMR\n",
    "AAC": b"\xff\xf1P\x80",
    "MP3": b"\xff\xfb\x90\x64",
    "tagged": b"ID3\x03\x00\x00\x00\x00\x00\x05hello",
}


@pytest.mark.parametrize("magic", MAGICS)
def test_noise_after_a_valid_signature_is_damaged(refuse: Refuse, magic: str) -> None:
    for seed in range(5):
        data = MAGICS[magic] + np.random.default_rng(seed).bytes(4000)
        assert refuse(data).code in ("damaged", "unsupported")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_samples_that_are_not_finite_are_damaged(refuse: Refuse, value: float) -> None:
    samples = fixtures.tone()
    samples[5000] = value
    assert refuse(fixtures.encode(samples, subtype="FLOAT")).code == "damaged"


# --- unsupported --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subtype", "named"),
    [("IMA_ADPCM", "IMA ADPCM"), ("MS_ADPCM", "Microsoft ADPCM"), ("GSM610", "GSM 6.10")],
)
def test_an_unsupported_encoding_is_named(refuse: Refuse, subtype: str, named: str) -> None:
    error = refuse(fixtures.encode(fixtures.tone(1000, 1.0, 8000), 8000, subtype=subtype))
    assert error.code == "unsupported"
    assert named in error.detail


def test_an_unknown_codec_is_unsupported(refuse: Refuse) -> None:
    webm = fixtures.encode(fixtures.tone(1000, 1.0, 48_000), 48_000, "WebM")
    assert refuse(webm.replace(b"A_OPUS", b"A_NOPE")).code == "unsupported"


def test_an_extreme_rate_or_channel_count_is_unsupported(refuse: Refuse) -> None:
    assert refuse(fixtures.encode(fixtures.noise(), 500_001)).code == "unsupported"
    many = np.zeros((4000, 100), np.float32)
    assert refuse(fixtures.encode(many)).code == "unsupported"


def test_a_codec_that_is_not_listed_is_unsupported(refuse: Refuse) -> None:
    """FFmpeg could decode it, but it is not in AV_CODECS."""
    how = fixtures.FFmpegOptions("matroska", "tta")
    error = refuse(fixtures.encode_with_ffmpeg(fixtures.tone(1000, 1.0, 44_100), 44_100, how))
    assert error.code == "unsupported"
    assert "encoding" in error.detail


def test_a_file_of_tags_only_is_rejected_quickly(refuse: Refuse) -> None:
    assert refuse(fixtures.id3_tag(0) * 2_000_000).code == "damaged"
