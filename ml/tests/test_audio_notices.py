"""Files of which nothing is lost or changed without a notice."""

import struct
from pathlib import Path

import numpy as np
import pytest

from ml.audio.decode import Limits, Sound
from ml.audio.decoder import Decoder
from ml.errors import AudioError
from ml.notices import SENTENCES, as_dicts
from ml.tests.conftest import RATE_HZ, Decode
from tests import fixtures
from tests.fixtures import FFmpegOptions


def tone(form: str, hz: float = 1000, duration_s: float = 2.0, rate_hz: int = 44_100) -> bytes:
    rate_hz = fixtures.RATES_HZ.get(form, rate_hz)
    return fixtures.encode(fixtures.tone(hz, duration_s, rate_hz), rate_hz, form)


def hz_of(sound: Sound, from_s: float, to_s: float) -> float:
    """Return the loudest frequency between two times."""
    some = sound.waveform[round(from_s * RATE_HZ) : round(to_s * RATE_HZ)]
    return float(np.abs(np.fft.rfft(some)).argmax() * RATE_HZ / len(some))


def test_every_notice_is_a_sentence() -> None:
    assert all(one["detail"].endswith(".") for one in as_dicts(sorted(SENTENCES)))


# --- several recordings, several rates -------------------------------------------------------


@pytest.mark.parametrize("form", ["OGG", "Opus"])
def test_all_links_of_a_chained_ogg_are_decoded(decode: Decode, form: str) -> None:
    sound = decode(tone(form, 1000) + tone(form, 3000))
    assert sound.duration_s == pytest.approx(4.0, abs=0.03)
    assert hz_of(sound, 0.5, 1.5) == pytest.approx(1000, rel=0.01)
    assert hz_of(sound, 2.5, 3.5) == pytest.approx(3000, rel=0.01)
    assert sound.notices == ("parts_joined",)
    assert not sound.playable


def test_the_links_of_an_ogg_may_differ_in_codec_and_rate(decode: Decode) -> None:
    sound = decode(tone("OGG", 1000, rate_hz=22_050) + tone("Opus", 3000))
    assert sound.duration_s == pytest.approx(4.0, abs=0.03)
    assert hz_of(sound, 2.5, 3.5) == pytest.approx(3000, rel=0.01)
    assert sound.notices == ("parts_joined", "rate_changed")


@pytest.mark.parametrize(("first_hz", "second_hz"), [(44_100, 22_050), (22_050, 44_100)])
@pytest.mark.parametrize("form", ["MP3", "MP3 bare", "AAC", "FLAC"])
def test_each_part_is_resampled_from_its_own_rate(
    decode: Decode, form: str, first_hz: int, second_hz: int
) -> None:
    sound = decode(tone(form, 1000, rate_hz=first_hz) + tone(form, 3000, rate_hz=second_hz))
    assert sound.duration_s == pytest.approx(4.0, abs=0.2)
    assert hz_of(sound, 0.5, 1.5) == pytest.approx(1000, rel=0.01)
    assert hz_of(sound, 2.7, 3.5) == pytest.approx(3000, rel=0.01)
    assert "rate_changed" in sound.notices
    assert not sound.playable
    assert sound.source_rate_hz == first_hz or form == "AAC"


# --- channels and tracks ----------------------------------------------------------------------


@pytest.mark.parametrize("form", ["WAV", "FLAC", "MP3", "OGG"])
def test_channels_that_cancel_each_other_out_are_not_averaged(decode: Decode, form: str) -> None:
    left = fixtures.tone(1000, 2.0, 44_100)
    both = fixtures.stereo(0.5 * left, -left)
    inverted = fixtures.stereo(0.98 * left, -left)
    assert decode(fixtures.encode(both, 44_100, form)).notices == ()
    sound = decode(fixtures.encode(inverted, 44_100, form))
    assert sound.notices == ("channels_cancelled",)
    assert np.abs(sound.waveform).max() == pytest.approx(0.5, abs=0.05)
    assert sound.channels == 2


def test_channels_are_averaged_if_only_one_of_many_is_loud(decode: Decode) -> None:
    many = np.zeros((RATE_HZ, 16), np.float32)
    many[:, 3] = fixtures.tone()
    sound = decode(fixtures.encode(many))
    assert sound.notices == ()
    assert np.abs(sound.waveform).max() == pytest.approx(0.5 / 16, rel=0.1)


@pytest.mark.parametrize(("share", "codes"), [(0.7, ("channels_cancelled",)), (0.3, ())])
def test_channels_are_not_averaged_if_they_cancel_in_most_of_a_file(
    decode: Decode, share: float, codes: tuple[str, ...]
) -> None:
    left = fixtures.noise(20, 44_100)
    right = np.where(np.arange(len(left)) < (1 - share) * len(left), left, -left)
    sound = decode(fixtures.encode(fixtures.stereo(left, right), 44_100))
    assert sound.notices == codes


def test_channels_that_cancel_only_late_are_not_averaged_either(tmp_path: Path) -> None:
    left = fixtures.noise(150, 8000)
    right = np.where(np.arange(len(left)) < 80 * 8000, left, -left)
    path = tmp_path / "long"
    path.write_bytes(fixtures.encode(fixtures.stereo(left, right), 8000))
    decoder = Decoder()
    sound = decoder.read(path, RATE_HZ, folder=tmp_path)
    decoder.close()
    assert sound.notices == ("channels_cancelled",)
    assert sound.duration_s == pytest.approx(150)
    for second in (10, 75, 130, 149):
        part = sound.waveform[second * RATE_HZ : (second + 1) * RATE_HZ]
        assert np.sqrt(np.mean(part**2)) > 0.05


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_another_track_is_used_if_the_first_one_is_silent(decode: Decode, container: str) -> None:
    silent, loud = fixtures.silence(2.0, 48_000), fixtures.tone(1000, 2.0, 48_000)
    sound = decode(fixtures.film([silent, loud], container))
    assert sound.notices == ("second_track_used",)
    assert hz_of(sound, 0.5, 1.5) == pytest.approx(1000, rel=0.01)
    assert not sound.playable
    assert decode(fixtures.film([loud, silent], container)).notices == ()
    assert decode(fixtures.film([silent, silent], container)).notices == ("silent",)


@pytest.mark.parametrize(("level", "silent"), [(0.0, True), (5e-5, True), (2e-4, False)])
def test_a_sound_below_80_db_is_silent(decode: Decode, level: float, silent: bool) -> None:
    click = fixtures.silence(1.0)
    click[RATE_HZ // 2] = level
    sound = decode(fixtures.encode(click, subtype="FLOAT"))
    assert sound.silent is silent
    assert sound.playable


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_another_track_is_used_if_the_first_one_is_nearly_empty(
    decode: Decode, container: str
) -> None:
    short, loud = fixtures.tone(3000, 0.01, 48_000), fixtures.tone(1000, 2.0, 48_000)
    sound = decode(fixtures.film([short, loud], container))
    assert sound.notices == ("second_track_used",)
    assert sound.duration_s == pytest.approx(2.0, abs=0.06)
    with pytest.raises(AudioError, match=r"at least 0\.1 s"):
        decode(fixtures.film([short, short], container))


# --- lengths ----------------------------------------------------------------------------------


def with_flac_total(flac: bytes, total: int) -> bytes:
    first = flac[21] & 0xF0 | total >> 32
    return flac[:21] + bytes([first]) + struct.pack(">I", total & 0xFFFFFFFF) + flac[26:]


@pytest.mark.parametrize("total", [1, 44_100, 88_199])
def test_a_flac_with_too_small_a_total_is_decoded_whole(decode: Decode, total: int) -> None:
    sound = decode(with_flac_total(tone("FLAC"), total))
    assert sound.duration_s == pytest.approx(2.0, abs=1e-3)
    assert sound.notices == ("length_wrong",)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 44_100])
def test_what_an_encoder_added_to_an_mp3_is_not_missing(decode: Decode, rate_hz: int) -> None:
    sound = decode(fixtures.encode(fixtures.tone(1000, 1.0, rate_hz), rate_hz, "MP3"))
    assert sound.duration_s == pytest.approx(1.0, abs=0.001)
    assert sound.notices == ()
    assert sound.playable


def test_what_is_missing_at_the_end_is_said(decode: Decode) -> None:
    # Less than what counts as damage.
    for form in ("WAV", "AIFF", "FLAC"):
        sound = decode(tone(form)[:-800])
        assert 1.9 < sound.duration_s < 2.0
        assert sound.notices == ("cut_short",)


@pytest.mark.parametrize("after", [b"", b"LIST" + struct.pack("<I", 4) + b"INFO"])
def test_sound_after_the_data_of_a_wav_is_said(decode: Decode, after: bytes) -> None:
    wav = tone("WAV")
    size_at = wav.index(b"data") + 4
    sound = decode(wav[:size_at] + struct.pack("<I", 88_200) + wav[size_at + 4 :] + after)
    assert sound.duration_s == pytest.approx(1.0, abs=1e-3)
    assert sound.notices == ("part_skipped",)


@pytest.mark.parametrize(
    "after",
    [bytes(100_000), b"LIST" + struct.pack("<I", 40_000) + b"x" * 40_000 + bytes(512), b"TAG" * 40],
    ids=["zeros", "a chunk and zeros", "a tag"],
)
def test_what_programs_write_after_the_data_of_a_wav_is_not_said(
    decode: Decode, after: bytes
) -> None:
    assert decode(tone("WAV") + after).notices == ()


@pytest.mark.parametrize("form", ["AAC", "MP3 bare"])
def test_a_stream_cut_within_a_frame_is_decoded_up_to_there(decode: Decode, form: str) -> None:
    whole = tone(form, duration_s=3.0)
    for share in (0.3, 0.6):
        kept = whole[: int(len(whole) * share)]
        sound = decode(kept)
        assert sound.duration_s == pytest.approx(3 * share, abs=0.15)
        assert sound.notices == ("cut_short",)


@pytest.mark.parametrize("form", ["WebM", "MKV", "WMA", "MPEG-TS"])
def test_a_little_missing_at_the_end_of_a_container_is_said(decode: Decode, form: str) -> None:
    sound = decode(tone(form, duration_s=5.0)[:-100])
    assert sound.duration_s == pytest.approx(5.0, abs=0.3)
    assert sound.notices == ("cut_short",)


def test_an_ogg_without_its_last_page_is_decoded_up_to_there(decode: Decode) -> None:
    whole = tone("OGG", duration_s=10.0)
    sound = decode(whole[: whole.rindex(b"OggS")])
    assert 1.0 < sound.duration_s < 10.0
    assert sound.notices == ("cut_short",)


def test_a_damaged_part_of_a_flac_or_mp3_is_left_out(decode: Decode) -> None:
    for form in ("FLAC", "MP3 bare"):
        data = bytearray(fixtures.encode(fixtures.noise(8.0, 44_100), 44_100, form))
        middle = len(data) // 2
        data[middle : middle + 300] = np.random.default_rng(1).bytes(300)
        sound = decode(bytes(data))
        assert 7.5 < sound.duration_s < 8.1
        assert "part_skipped" in sound.notices


@pytest.mark.parametrize("form", ["MP2", "MP3 bare"])
def test_zeros_in_mpeg_audio_are_a_missing_part_but_not_at_its_end(
    decode: Decode, form: str
) -> None:
    noise, mp2 = fixtures.noise(8.0, 44_100), fixtures.FFmpegOptions("mp2", "mp2")
    if form == "MP2":
        data = fixtures.encode_with_ffmpeg(noise, 44_100, mp2)
    else:
        data = fixtures.encode(noise, 44_100, form)
    middle = len(data) // 2
    sound = decode(data[:middle] + bytes(10_000) + data[middle + 10_000 :])
    assert 5 < sound.duration_s < 7.95
    assert "part_skipped" in sound.notices
    assert decode(data + bytes(10_000)).notices == ()


@pytest.mark.parametrize("form", ["OGG", "Opus"])
def test_a_damaged_page_of_an_ogg_is_said(decode: Decode, form: str) -> None:
    rate_hz = fixtures.RATES_HZ.get(form, 44_100)
    whole = fixtures.encode(fixtures.noise(8.0, rate_hz), rate_hz, form)
    data = bytearray(whole)
    data[len(data) // 2] ^= 0xFF
    for one in (bytes(data), tone(form) + data):
        sound = decode(one)
        assert sound.duration_s < decode(one.replace(data, whole)).duration_s - 0.3
        assert "part_skipped" in sound.notices


@pytest.mark.parametrize(
    "between", [bytes(100), b"TAG" + bytes(125), bytes(200_000)], ids=["zeros", "tag", "many zeros"]
)
def test_data_between_the_links_of_an_ogg_is_left_out(decode: Decode, between: bytes) -> None:
    sound = decode(tone("OGG", 1000) + between + tone("Opus", 3000) + between)
    assert sound.duration_s == pytest.approx(4.0, abs=0.03)
    assert hz_of(sound, 2.5, 3.5) == pytest.approx(3000, rel=0.01)
    assert "part_skipped" in sound.notices
    assert decode(tone("OGG", 1000) + between).notices == ()


def test_data_between_the_pages_of_an_ogg_is_left_out(decode: Decode) -> None:
    data = fixtures.encode(fixtures.noise(10.0, 44_100), 44_100, "OGG")
    page = data.index(b"OggS", len(data) // 2)
    sound = decode(data[:page] + bytes(100) + data[page:])
    assert sound.duration_s == pytest.approx(10.0, abs=0.03)
    assert sound.notices == ("part_skipped",)


def test_a_wrong_length_in_a_page_does_not_end_an_ogg(decode: Decode) -> None:
    noise = fixtures.encode(fixtures.noise(5.0, 44_100), 44_100, "OGG")
    data = bytearray(noise + tone("OGG", 3000))
    last = data.index(b"OggS\0\2", 1)
    page = data.rindex(b"OggS", 0, last)
    data[page + 27] = 77
    sound = decode(bytes(data))
    assert 5.0 < sound.duration_s < 7.0
    assert "part_skipped" in sound.notices
    assert hz_of(sound, sound.duration_s - 1.5, sound.duration_s) == pytest.approx(3000, rel=0.01)


@pytest.mark.parametrize("form", ["MPEG-TS", "WMA"])
def test_a_part_missing_within_a_container_is_said(decode: Decode, form: str) -> None:
    rate_hz = fixtures.RATES_HZ.get(form, 44_100)
    data = fixtures.encode(fixtures.noise(20.0, rate_hz), rate_hz, form)
    assert decode(data).notices == ()
    middle = len(data) // 188 // 2 * 188
    hole = len(data) // 20 // 188 * 188
    lost = data[:middle] + np.random.default_rng(1).bytes(hole) + data[middle + hole :]
    sound = decode(lost)
    assert 15 < sound.duration_s < 19.8
    assert "part_skipped" in sound.notices


@pytest.mark.parametrize(
    ("container", "codec", "rate_hz"),
    [
        ("ogg", "flac", 16_000),
        ("ogg", "libopus", 48_000),
        ("avi", "libmp3lame", 44_100),
        ("matroska", "libmp3lame", 32_000),
        ("3gp", "libopencore_amrnb", 8_000),
    ],
)
def test_zeros_instead_of_a_part_are_not_passed_over(
    decode: Decode, container: str, codec: str, rate_hz: int
) -> None:
    samples = fixtures.tone(700, 3.0, rate_hz)
    data = fixtures.encode_with_ffmpeg(samples, rate_hz, FFmpegOptions(container, codec))
    first, after = len(data) * 4 // 10, len(data) * 55 // 100
    try:
        sound = decode(data[:first] + bytes(after - first) + data[after:])
    except AudioError as error:
        assert error.problem.code == "damaged"
    else:
        assert "part_skipped" in sound.notices


# --- before the audio -------------------------------------------------------------------------

HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n"


@pytest.mark.parametrize("form", ["MP3", "MP3 bare VBR", "AAC"])
@pytest.mark.parametrize("before", [b"\n", bytes(1000), HTTP, b"half", b"noise"])
def test_data_before_the_first_frame_is_skipped(decode: Decode, form: str, before: bytes) -> None:
    whole = tone(form)
    data = {
        b"half": whole[700:],
        b"noise": np.random.default_rng(4).bytes(3000) + whole,
    }.get(before, before + whole)
    sound = decode(data)
    assert sound.duration_s == pytest.approx(2.0, abs=0.1)
    assert hz_of(sound, 0.5, 1.5) == pytest.approx(1000, rel=0.01)
    assert sound.notices == ("start_skipped",)
    assert not sound.playable


def test_the_declared_length_is_counted_at_the_first_rate(decode: Decode) -> None:
    data = tone("MP3", duration_s=6.0, rate_hz=44_100) + tone("MP3", rate_hz=22_050)
    sound = decode(data, limits=Limits(duration_s=9.0))
    assert sound.duration_s == pytest.approx(8.0, abs=0.2)


def test_the_limit_counts_seconds_at_every_rate(decode: Decode) -> None:
    data = tone("MP3 bare", rate_hz=44_100) + tone("MP3 bare", rate_hz=22_050)
    decode(data, limits=Limits(duration_s=4.2))
    with pytest.raises(AudioError) as caught:
        decode(data, limits=Limits(duration_s=3.5))
    assert caught.value.problem.code == "too_long"
