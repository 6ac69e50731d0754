"""Formats, encodings and headers that other programs write less often."""

import struct

import numpy as np
import pytest

from ml.audio.decode import Sound
from ml.errors import AudioError, Problem
from ml.tests.conftest import Decode
from tests import fixtures
from tests.fixtures import FFmpegOptions

SPEECH_HZ = 8_000


def assert_is_whole(sound: Sound, duration_s: float = 1.0, hz: float = 1000) -> None:
    assert sound.duration_s == pytest.approx(duration_s, abs=0.08)
    spectrum = np.abs(np.fft.rfft(sound.waveform))
    assert spectrum.argmax() * sound.sample_rate / len(sound.waveform) == pytest.approx(
        hz, rel=0.01
    )
    middle = sound.waveform[len(sound.waveform) // 4 : -len(sound.waveform) // 4]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def refusal(decode: Decode, data: bytes) -> Problem:
    with pytest.raises(AudioError) as caught:
        decode(data)
    return caught.value.problem


# --- depths, rates, codecs --------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 12, 15, 16, 20, 24, 32])
def test_a_flac_of_any_depth_is_decoded(decode: Decode, bits: int) -> None:
    sound = decode(fixtures.verbatim_flac(fixtures.tone(1000, 2.048, 8000), 8000, bits))
    assert_is_whole(sound, 2.048)
    assert sound.playable is (bits in (16, 24))
    assert sound.notices == ()


@pytest.mark.parametrize("rate_hz", [384_002, 500_000])
def test_high_rates_are_decoded(decode: Decode, rate_hz: int) -> None:
    assert_is_whole(decode(fixtures.encode(fixtures.tone(1000, 1.0, rate_hz), rate_hz)))


@pytest.mark.parametrize(
    ("container", "codec", "channels"),
    [("ogg", "libopus", 8), ("mp4", "aac", 8), ("wv", "wavpack", 8), ("wv", "wavpack", 16)],
)
def test_many_channels_are_decoded(
    decode: Decode, container: str, codec: str, channels: int
) -> None:
    samples = np.repeat(fixtures.tone(1000, 1.0, 48_000)[:, np.newaxis], channels, axis=1)
    data = fixtures.encode_with_ffmpeg(samples, 48_000, FFmpegOptions(container, codec))
    sound = decode(data)
    assert sound.channels == channels
    # Without the channel of the low frequencies, which encoders filter.
    assert np.abs(sound.waveform).max() > 0.4


@pytest.mark.parametrize(
    ("container", "codec", "rate_hz", "playable"),
    [
        ("ogg", "flac", 22_050, False),
        ("ogg", "libopus", 48_000, True),
        ("mp2", "mp2", 44_100, False),
        ("mp4", "ac3", 48_000, False),
        ("mp4", "alac", 44_100, False),
        ("mp4", "aac", 44_100, True),
        ("3gp", "libopencore_amrnb", 8_000, False),
        ("matroska", "aac", 44_100, False),
        ("webm", "libopus", 48_000, True),
        ("mpegts", "aac", 48_000, False),
        ("mpegts", "ac3", 48_000, False),
        ("avi", "libmp3lame", 44_100, False),
        ("avi", "ac3", 48_000, False),
        ("eac3", "eac3", 48_000, False),
        ("caf", "alac", 44_100, False),
        ("caf", "pcm_f32be", 44_100, False),
        ("w64", "pcm_f64le", 44_100, False),
        ("au", "pcm_mulaw", 8_000, False),
        ("wv", "wavpack", 96_000, False),
    ],
)
def test_the_codec_decides_whether_browsers_play_a_file(
    decode: Decode, container: str, codec: str, rate_hz: int, playable: bool
) -> None:
    how = FFmpegOptions(container, codec)
    sound = decode(fixtures.encode_with_ffmpeg(fixtures.tone(1000, 1.0, rate_hz), rate_hz, how))
    assert_is_whole(sound)
    assert sound.playable is playable
    assert sound.notices == ()


@pytest.mark.parametrize(
    ("subtype", "playable"),
    [("PCM_16", True), ("FLOAT", True), ("PCM_32", False), ("DOUBLE", False)],
)
def test_the_sample_type_of_a_wav_decides_too(decode: Decode, subtype: str, playable: bool) -> None:
    assert decode(fixtures.encode(fixtures.tone(), subtype=subtype)).playable is playable


@pytest.mark.parametrize(
    ("form", "rate_hz", "channels", "playable"),
    [
        ("WAV", 2_999, 1, False),
        ("WAV", 3_000, 1, True),
        ("FLAC", 1_000, 1, False),
        ("WAV", 8_000, 32, True),
        ("WAV", 8_000, 33, False),
    ],
)
def test_the_rate_and_the_channels_decide_too(
    decode: Decode, form: str, rate_hz: int, channels: int, playable: bool
) -> None:
    samples = np.repeat(fixtures.tone(100, 1.0, rate_hz)[:, np.newaxis], channels, axis=1)
    assert decode(fixtures.encode(samples, rate_hz, form)).playable is playable


def test_an_amr_with_pauses_is_decoded(decode: Decode) -> None:
    data = fixtures.encode(fixtures.tone(1000, 2.0, SPEECH_HZ), SPEECH_HZ, "AMR")
    frame = len(b"#!AMR\n") + 13 * 50  # a second of 4.75 kbit/s
    silence_descriptor, no_data = b"\x44" + bytes(5), b"\x7c"
    pause = silence_descriptor + 24 * no_data
    sound = decode(data[:frame] + pause + data[frame:])
    assert sound.duration_s == pytest.approx(2.5, abs=0.05)
    assert np.abs(sound.waveform[-16_000:]).max() > 0.3


def test_a_theora_film_is_decoded(decode: Decode) -> None:
    """A page of another stream stands beside those of the sound."""
    audio = fixtures.encode(fixtures.tone(1000, 1.0, 44_100), 44_100, "OGG")
    theora = b"\x80theora\x03\x02\x01" + struct.pack(">HH", 2, 2) + bytes(28)
    sound = decode(fixtures.ogg_page(theora, serial=7, kind=2) + audio)
    assert_is_whole(sound)


# --- headers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["WAV", "AIFF", "OGG", "M4A"])
def test_a_tag_before_any_format_is_skipped(decode: Decode, form: str) -> None:
    data = fixtures.encode(fixtures.tone(1000, 1.0, 44_100), 44_100, form)
    sound = decode(fixtures.id3_tag(300) + data)
    assert_is_whole(sound)
    assert sound.notices == ()
    assert not sound.playable


@pytest.mark.parametrize("form", ["MP3", "MP3 bare", "AAC"])
def test_browsers_play_mpeg_audio_with_a_tag(decode: Decode, form: str) -> None:
    data = fixtures.encode(fixtures.tone(1000, 1.0, 44_100), 44_100, form)
    sound = decode(fixtures.id3_tag(300) + data)
    assert sound.notices == ()
    assert sound.playable


@pytest.mark.parametrize("riff_bytes", [0, 36, None])
def test_a_wav_whose_data_size_is_0_is_decoded(decode: Decode, riff_bytes: int | None) -> None:
    wav = bytearray(fixtures.encode(fixtures.tone()))
    place = wav.index(b"data") + 4
    wav[place : place + 4] = bytes(4)
    if riff_bytes is not None:
        wav[4:8] = struct.pack("<I", riff_bytes)
    sound = decode(bytes(wav))
    assert_is_whole(sound)
    assert not sound.playable


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
@pytest.mark.parametrize("data_bytes", [0, 0xFFFFFFFF])
@pytest.mark.parametrize("riff_bytes", [0, 36, 0xFFFFFFFF, None])
def test_chunks_after_data_of_unknown_size_are_not_decoded(
    decode: Decode, endian: str, data_bytes: int, riff_bytes: int | None
) -> None:
    order = ">" if endian == "BIG" else "<"
    wav = bytearray(fixtures.encode(fixtures.tone(), endian=endian))
    place = wav.index(b"data") + 4
    wav[place : place + 4] = struct.pack(order + "I", data_bytes)
    wav += b"LIST" + struct.pack(order + "I", 10) + b"INFOISFTxx"
    wav += b"guan" + struct.pack(order + "I", 6) + b"GUANO|"
    wav += b"id3 " + struct.pack(order + "I", 301) + 301 * b"\x55"
    wav[4:8] = struct.pack(order + "I", len(wav) - 8 if riff_bytes is None else riff_bytes)
    sound = decode(bytes(wav))
    assert sound.waveform == pytest.approx(fixtures.tone(), abs=1e-4)
    assert sound.notices == ()


def test_a_cut_wav_whose_data_size_is_0_is_damaged(decode: Decode) -> None:
    wav = bytearray(fixtures.encode(fixtures.tone()))
    place = wav.index(b"data") + 4
    wav[place : place + 4] = bytes(4)
    assert refusal(decode, bytes(wav[:20_000])).code == "damaged"
    assert decode(bytes(wav[:-100])).notices == ("cut_short",)


def test_an_rf64_whose_sizes_are_0_is_decoded(decode: Decode) -> None:
    rf64 = bytearray(fixtures.encode(fixtures.tone(), format="RF64"))
    sizes = rf64.index(b"ds64") + 8
    rf64[sizes : sizes + 24] = bytes(24)
    assert_is_whole(decode(bytes(rf64)))


def test_bw64_is_decoded_and_its_length_checked(decode: Decode) -> None:
    rf64 = fixtures.encode(fixtures.tone(), format="RF64")
    bw64 = b"BW64" + rf64[4:]
    assert_is_whole(decode(bw64))
    for data in (rf64, bw64):
        assert refusal(decode, data[: len(data) // 2]).code == "damaged"


@pytest.mark.parametrize("first", [b"wide", b"free", b"skip"])
def test_an_mp4_may_begin_with_another_box(decode: Decode, first: bytes) -> None:
    mp4 = fixtures.encode(fixtures.tone(1000, 1.0, 44_100), 44_100, "M4A streamed")
    ftyp_bytes = int.from_bytes(mp4[:4], "big")
    box = struct.pack(">I", ftyp_bytes) + first + bytes(ftyp_bytes - 8)
    # Of the same size: the offsets in the other boxes stay right.
    sound = decode(box + mp4[ftyp_bytes:])
    assert_is_whole(sound)
    assert sound.format == "MP4"


def test_text_is_not_taken_for_an_mp4(decode: Decode) -> None:
    assert refusal(decode, b"The free speech of " * 100).code == "not_audio"
    assert refusal(decode, "\ufeffUTF-16 text".encode("utf-16-le") * 100).code == "not_audio"


@pytest.mark.parametrize("form", ["CAF", "W64", "AU", "WavPack", "AVI"])
def test_half_a_file_of_these_formats_is_damaged(decode: Decode, form: str) -> None:
    data = fixtures.encode(fixtures.tone(1000, 3.0, 44_100), 44_100, form)
    assert refusal(decode, data[: len(data) // 2]).code == "damaged"


def test_an_ogg_that_ends_in_the_header_of_a_page_is_damaged(decode: Decode) -> None:
    page = b"OggS\0" + bytes(22)
    assert refusal(decode, page + b"?" + page[:14]).code == "damaged"


@pytest.mark.parametrize("form", ["AC-3", "MPEG-TS"])
def test_half_a_stream_is_decoded_up_to_there(decode: Decode, form: str) -> None:
    data = fixtures.encode(fixtures.tone(1000, 3.0, 44_100), 44_100, form)
    sound = decode(data[: len(data) // 2 - 50])
    assert sound.duration_s == pytest.approx(1.5, abs=0.2)
    assert sound.notices == ("cut_short",)


@pytest.mark.parametrize("end", [1, 4, 100])
def test_a_cut_stream_of_packets_with_time_stamps_is_decoded_up_to_there(
    decode: Decode, end: int
) -> None:
    how = FFmpegOptions("mpegts", "mp2", {"mpegts_m2ts_mode": "1"})
    data = fixtures.encode_with_ffmpeg(fixtures.tone(1000, 3.0, 48_000), 48_000, how)
    assert_is_whole(whole := decode(data), 3.0)
    assert whole.notices == ()
    sound = decode(data[: 192 * (len(data) // 384) + end])
    assert sound.duration_s == pytest.approx(1.5, abs=0.2)
    assert sound.notices == ("cut_short",)


UNREAD = {
    b"MAC \x96\x0f": "Monkey's Audio",
    b"TTA1\x01\0\x02\0": "True Audio (TTA)",
    b"MPCKSH\x0f\x01\x02\x03\x04\x08": "Musepack",
    b"MP+\x07": "Musepack",
    b"MP+\x17": "Musepack",
    b"DSD \x1c" + bytes(7): "DSF",
    b"FRM8" + bytes(8) + b"DSD ": "DSDIFF",
    b"MThd\0\0\0\x06": "MIDI",
    b".ra\xfd": "RealAudio",
    b".RMF\0\0\0\x12": "RealMedia",
    b"Creative Voice File\x1a": "VOC",
    b"NIST_1A\n   1024\n": "NIST SPHERE",
    b"OFR \x0f\0\0\0": "OptimFROG",
    b"ajkg\x02": "Shorten",
    b"tBaK\x01": "TAK",
    b"qoaf\0\0\x10\0\x02\0\xac\x44": "QOA",
    b"FLV\x01\x04\0\0\0\x09": "Flash video",
    b"\x7f\xfe\x80\x01": "DTS",
    b"\0\0\x01\xba": "MPEG program stream",
}


@pytest.mark.parametrize("head", UNREAD)
def test_a_format_that_is_not_read_is_named(decode: Decode, head: bytes) -> None:
    problem = refusal(decode, head + bytes(500))
    assert problem.code == "unsupported"
    assert problem.detail.startswith(UNREAD[head])
    assert problem.hint == "Convert it to WAV or FLAC."


@pytest.mark.parametrize(
    "start",
    ["MAC addresses of the recorders", "DSD is", "MP+ or MP3?", "OFR 2024", "TTA1 to TTA9",
     "MPCKSH", "MThd, the first", "tBaK.", "qoaf files have", "FRM8 to FRM9, or DSD ", "ajkg",
     ".RMF files", "NIST_1A is", "Creative Voice Files", "The ftyp box", "All mdat boxes"],
)  # fmt: skip
def test_a_text_is_not_taken_for_audio(decode: Decode, start: str) -> None:
    for text in (start, f"{start}\n\nNotes on the recordings of May, in no order.\n" * 20):
        assert refusal(decode, text.encode()).code == "not_audio"


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"%PDF-1.4\n", b"\x89PNG\r\n\x1a\n"])
def test_sound_within_another_file_is_not_looked_for(decode: Decode, start: bytes) -> None:
    mp3 = fixtures.encode(fixtures.tone(1000, 1.0, 44_100), 44_100, "MP3")
    assert refusal(decode, start + bytes(50) + mp3).code == "not_audio"


def test_an_amr_wb_without_any_data_is_silent(decode: Decode) -> None:
    sound = decode(b"#!AMR-WB\n" + 50 * b"\x7c")
    assert (sound.duration_s, sound.source_rate_hz) == (1.0, 16_000)
    assert np.abs(sound.waveform).max() < 0.01
