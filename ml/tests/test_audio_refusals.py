"""Files that are refused: with the right reason, in words a person can use."""

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
    """Bytes → the problem they lead to, complete."""

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


# --- not a sound --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"Dear reader, this is no sound at all. " * 50,
        b"\x89PNG\r\n\x1a\n" + bytes(500),
        b"PK\x03\x04" + bytes(500),
        b"<html><body>404</body></html>",
        b"RIFF\x24\x00\x00\x00AVI LIST" + bytes(100),
        b"R",
        bytes(1000),
    ],
)
def test_what_is_no_sound_is_called_so_whatever_its_name(refuse: Refuse, data: bytes) -> None:
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
        # Not even one that pretends to be something that FFmpeg reads.
        for magic in (fixtures.id3_tag(), b"\xff\xf1P\x80", b"\x1aE\xdf\xa3", b"#!AMR\n"):
            refuse(magic + b"\n" + data, name)


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_film_without_sound_is_not_audio(refuse: Refuse, container: str) -> None:
    error = refuse(fixtures.video_without_sound(container))
    assert error.code == "not_audio"
    assert "no sound" in error.detail


# --- nothing, too little, too much --------------------------------------------------------


def test_an_empty_file_is_empty(refuse: Refuse) -> None:
    assert refuse(b"").code == "empty"


@pytest.mark.parametrize("form", ["WAV", "AIFF", "OGG"])
def test_a_header_without_samples_is_empty(refuse: Refuse, form: str) -> None:
    assert refuse(fixtures.encode(fixtures.silence(0.0, 44_100), 44_100, form)).code == "empty"


def test_a_chunk_behind_an_empty_wav_is_not_taken_for_its_sound(refuse: Refuse) -> None:
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
def test_it_refuses_what_is_longer_than_the_limit(refuse: Refuse, form: str) -> None:
    error = refuse(cut(form, 1.0), limits=Limits(duration_s=2.0))
    assert error.code == "too_long"
    assert "2 s" in error.detail


@pytest.mark.parametrize("form", ["WAV", "FLAC", "MP3", "MP3 bare", "AAC", "M4A", "WebM"])
def test_it_accepts_what_is_as_long_as_the_limit(decode: Decode, form: str) -> None:
    decode(cut(form, 1.0), limits=Limits(duration_s=3.0))


def test_it_counts_samples_and_does_not_trust_a_header_that_promises_few(refuse: Refuse) -> None:
    flac = bytearray(fixtures.encode(fixtures.silence(30.0), form="FLAC"))
    flac[21] &= 0xF0  # "length unknown"
    flac[22:26] = bytes(4)
    assert refuse(bytes(flac), limits=Limits(duration_s=10.0)).code == "too_long"


def test_it_refuses_more_bytes_than_the_limit_and_no_fewer(refuse: Refuse, decode: Decode) -> None:
    data = fixtures.encode(fixtures.tone())
    decode(data, limits=Limits(size_bytes=len(data)))
    assert refuse(data, limits=Limits(size_bytes=len(data) - 1)).code == "too_large"


# --- damaged ------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.3, 0.6])
@pytest.mark.parametrize(
    "form", ["WAV", "AIFF", "MP3", "MP3 VBR", "WebM", "M4A streamed", "FLAC", "OGG", "AAC", "M4A"]
)
def test_a_file_cut_on_its_way_is_damaged(refuse: Refuse, form: str, share: float) -> None:
    error = refuse(cut(form, share))
    assert error.code == "damaged"
    if form in ("WAV", "AIFF"):
        assert f"stops after {3 * share:.1f} s of 3.0 s" in error.detail
    if form in ("MP3", "MP3 VBR", "WebM"):
        assert "of 3.0 s" in error.detail


@pytest.mark.parametrize("form", ["M4A", "M4A streamed", "MP4 with video", "OGG", "Opus"])
def test_wherever_it_is_cut_it_is_damaged_and_nothing_else(refuse: Refuse, form: str) -> None:
    whole = cut(form, 1.0, 0.5)
    for kept in range(40, len(whole), 97):
        assert refuse(whole[:kept]).code == "damaged"


def test_an_m4a_with_a_box_of_64_bit_length_is_read_whole_and_refused_cut(
    refuse: Refuse, decode: Decode
) -> None:
    box = b"\x00\x00\x00\x01free" + (1000).to_bytes(8, "big") + bytes(984)
    m4a = cut("M4A", 1.0, 0.5)
    decode(m4a + box)
    assert refuse(m4a + box[:500]).code == "damaged"


def test_an_m4a_whose_last_box_has_no_end_of_its_own_is_known_by_its_length(
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


def test_an_mp3_of_which_little_is_left_says_so(refuse: Refuse) -> None:
    whole = cut("MP3", 1.0)
    for kept in (*range(4, 100), 300, 700, 1500):
        assert refuse(whole[:kept]).code == "damaged"
    assert refuse(cut("MP3 bare", 1.0)[:300]).code == "too_short"


def test_half_a_second_missing_is_noticed_in_a_long_recording_too(refuse: Refuse) -> None:
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
def test_noise_behind_a_true_beginning_is_damaged(refuse: Refuse, magic: str) -> None:
    for seed in range(5):
        data = MAGICS[magic] + np.random.default_rng(seed).bytes(4000)
        assert refuse(data).code in ("damaged", "unsupported")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_samples_that_are_no_numbers_are_damage(refuse: Refuse, value: float) -> None:
    samples = fixtures.tone()
    samples[5000] = value
    assert refuse(fixtures.encode(samples, subtype="FLOAT")).code == "damaged"


# --- unsupported --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subtype", "named"),
    [("IMA_ADPCM", "IMA ADPCM"), ("MS_ADPCM", "Microsoft ADPCM"), ("GSM610", "GSM 6.10")],
)
def test_an_encoding_that_is_not_read_is_named(refuse: Refuse, subtype: str, named: str) -> None:
    error = refuse(fixtures.encode(fixtures.tone(1000, 1.0, 8000), 8000, subtype=subtype))
    assert error.code == "unsupported"
    assert named in error.detail


def test_a_codec_nobody_knows_is_unsupported(refuse: Refuse) -> None:
    webm = fixtures.encode(fixtures.tone(1000, 1.0, 48_000), 48_000, "WebM")
    assert refuse(webm.replace(b"A_OPUS", b"A_NOPE")).code == "unsupported"


def test_a_rate_or_a_count_of_channels_beyond_reason_is_unsupported(refuse: Refuse) -> None:
    assert refuse(fixtures.encode(fixtures.noise(), 400_000)).code == "unsupported"
    many = np.zeros((4000, 100), np.float32)
    assert refuse(fixtures.encode(many)).code == "unsupported"


def test_an_encoding_outside_our_list_is_unsupported(refuse: Refuse) -> None:
    """FFmpeg knows how to decode it, and is not asked to."""
    how = fixtures.FFmpegOptions("matroska", "tta")
    error = refuse(fixtures.encode_with_ffmpeg(fixtures.tone(1000, 1.0, 44_100), 44_100, how))
    assert error.code == "unsupported"
    assert "encoding" in error.detail


def test_a_file_of_nothing_but_tags_ends_soon(refuse: Refuse) -> None:
    assert refuse(fixtures.id3_tag(0) * 2_000_000).code == "damaged"
