"""Decoding of valid files in every format, under any name."""

import struct

import numpy as np
import pytest

from ml.audio import formats
from ml.audio.decode import Sound
from ml.tests.conftest import RATE_HZ, Decode
from tests import fixtures


def loudest_hz(sound: Sound) -> float:
    spectrum = np.abs(np.fft.rfft(sound.waveform))
    return float(spectrum.argmax() * sound.sample_rate / len(sound.waveform))


def assert_is_tone(sound: Sound, hz: float, duration_s: float) -> None:
    assert sound.waveform.dtype == np.float32
    assert sound.waveform.ndim == 1
    assert sound.sample_rate == RATE_HZ
    # Encoders pad the sound to whole frames.
    assert sound.duration_s == pytest.approx(duration_s, abs=0.06)
    assert loudest_hz(sound) == pytest.approx(hz, rel=0.01)
    middle = sound.waveform[len(sound.waveform) // 4 : len(sound.waveform) * 3 // 4]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.15)


@pytest.mark.parametrize("name", ["sound.wav", "sound.mp3", "letter.txt", "none"])
@pytest.mark.parametrize("form", fixtures.FORMATS)
def test_it_reads_every_format_under_any_name(decode: Decode, form: str, name: str) -> None:
    rate_hz = fixtures.RATES_HZ.get(form, 44_100)
    sound = decode(fixtures.encode(fixtures.tone(1000, 1.0, rate_hz), rate_hz, form), name)
    assert_is_tone(sound, 1000, 1.0)
    assert sound.source_rate_hz == rate_hz
    assert sound.channels == 1
    assert sound.format in formats.FORMATS
    assert sound.notices == ()


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "M4A", "AAC", "WMA"])
def test_it_averages_the_channels(decode: Decode, form: str) -> None:
    both = fixtures.stereo(
        fixtures.tone(1000, 1.0, 44_100, 0.6), fixtures.tone(1000, 1.0, 44_100, 0.4)
    )
    sound = decode(fixtures.encode(both, 44_100, form))
    assert_is_tone(sound, 1000, 1.0)
    assert sound.channels == 2


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 12_345, 16_000, 32_000, 48_000, 96_000, 192_000])
def test_it_resamples_any_rate(decode: Decode, rate_hz: int) -> None:
    sound = decode(fixtures.encode(fixtures.tone(1000, 1.0, rate_hz), rate_hz))
    assert_is_tone(sound, 1000, 1.0)
    assert sound.duration_s == pytest.approx(1.0, abs=0.001)
    assert sound.source_rate_hz == rate_hz


def test_resampling_removes_frequencies_above_the_new_limit(
    decode: Decode,
) -> None:
    sound = decode(fixtures.encode(fixtures.tone(20_000, 1.0, 48_000), 48_000))
    assert np.abs(sound.waveform[1000:-1000]).max() < 0.01


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]
)
@pytest.mark.parametrize("form", ["WAV", "AIFF"])
def test_it_reads_the_usual_sample_types(decode: Decode, form: str, subtype: str) -> None:
    assert_is_tone(decode(fixtures.encode(fixtures.tone(), form=form, subtype=subtype)), 1000, 1.0)


def test_samples_are_unchanged_when_no_conversion_is_needed(decode: Decode) -> None:
    samples = fixtures.noise(0.5)
    sound = decode(fixtures.encode(samples, RATE_HZ, subtype="FLOAT"))
    assert np.abs(sound.waveform - samples).max() < 1e-5


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_it_reads_a_streamed_wav_without_a_length(decode: Decode, size: int) -> None:
    wav = bytearray(fixtures.encode(fixtures.tone()))
    place = wav.index(b"data") + 4
    wav[place : place + 4] = struct.pack("<I", size)
    for riff_size in (size, 0xFFFFFFFF):
        wav[4:8] = struct.pack("<I", riff_size)
        assert_is_tone(decode(bytes(wav)), 1000, 1.0)


def test_it_reads_a_streamed_flac_without_a_length(decode: Decode) -> None:
    flac = bytearray(fixtures.encode(fixtures.tone(), form="FLAC"))
    flac[21] &= 0xF0  # the count of samples: 36 bits
    flac[22:26] = bytes(4)
    assert_is_tone(decode(bytes(flac)), 1000, 1.0)


@pytest.mark.parametrize("form", ["MP3", "MP3 VBR", "MP3 bare", "AAC", "FLAC"])
def test_a_leading_tag_is_skipped(decode: Decode, form: str) -> None:
    data = fixtures.encode(fixtures.tone(1000, 1.0, 44_100), 44_100, form)
    for length in (200, 300_000):
        sound = decode(fixtures.id3_tag(length) + data)
        assert_is_tone(sound, 1000, 1.0)
        assert sound.format == form.split()[0]


@pytest.mark.parametrize("form", [form for form in fixtures.FORMATS if form != "AMR"])
def test_a_trailing_tag_or_padding_is_ignored(decode: Decode, form: str) -> None:
    rate_hz = fixtures.RATES_HZ.get(form, 44_100)
    data = fixtures.encode(fixtures.tone(1000, 3.0, rate_hz), rate_hz, form)
    id3v1 = b"TAG" + b"A title".ljust(125, b"\0")
    junk = np.random.default_rng(5).bytes(3000)
    for behind in (id3v1, b"\n", bytes(4096), junk):
        assert_is_tone(decode(data + behind), 1000, 3.0)


@pytest.mark.parametrize(
    "form",
    ["MP3 VBR", "MP3 bare", "MP3 bare VBR", "AAC", "M4A", "WMA", "MKV live", "MP4 with video"],
)
def test_a_quiet_start_or_end_does_not_change_the_duration(decode: Decode, form: str) -> None:
    # Where nothing states the length, a guess from the first frames' bit rate is far off.
    silence, noise = fixtures.silence(2.0, 44_100), fixtures.noise(2.0, 44_100)
    for samples in (np.concatenate([silence, noise]), np.concatenate([noise, silence])):
        sound = decode(fixtures.encode(samples, 44_100, form))
        assert sound.duration_s == pytest.approx(4.0, abs=0.06)


def test_it_reads_two_mp3s_in_one_file(decode: Decode) -> None:
    one = fixtures.encode(fixtures.tone(1000, 1.0, 44_100), 44_100, "MP3")
    sound = decode(fixtures.id3_tag() + one + fixtures.id3_tag() + one)
    assert sound.duration_s == pytest.approx(2.0, abs=0.1)
    assert loudest_hz(sound) == pytest.approx(1000, rel=0.01)


def test_it_reads_a_file_with_a_title_in_a_legacy_encoding(decode: Decode) -> None:
    m4a = fixtures.encode(fixtures.tone(1000, 1.0, 44_100), 44_100, "M4A")
    assert b"SoundHandler" in m4a
    assert_is_tone(decode(m4a.replace(b"SoundHandler", b"Ger\xe4uschbox!")), 1000, 1.0)
