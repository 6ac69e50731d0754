"""The start of a recording in the name of its file."""

import pytest

from ml.recording_names import compiled, from_name


@pytest.mark.parametrize(
    ("name", "time"),
    [
        # AudioMoth: the zone depends on the device, except in the old hexadecimal names.
        ("20240501_053000.WAV", "2024-05-01T05:30:00"),
        ("20240501_053000T.WAV", "2024-05-01T05:30:00"),
        ("5E90A4D4.WAV", "2020-04-10T16:54:44+00:00"),
        # Song Meter.
        ("SMU01234_20240501_053000.wav", "2024-05-01T05:30:00"),
        ("S4A02641_20240501_053000-0500.wav", "2024-05-01T05:30:00-05:00"),
        ("SM2_0+1_20240501_053000_+0930.flac", "2024-05-01T05:30:00+09:30"),
        # Phones and other recorders.
        ("2024-05-01 05.30.00.m4a", "2024-05-01T05:30:00"),
        ("Recording_20240501_053000.mp3", "2024-05-01T05:30:00"),
        ("REC20240501053000.wav", "2024-05-01T05:30:00"),
        ("Voice 240501_053000.m4a", "2024-05-01T05:30:00"),
        ("Memo 2024-05-01 at 05.30.00.m4a", "2024-05-01T05:30:00"),
        ("20240501T053000Z.wav", "2024-05-01T05:30:00+00:00"),
        ("20240501T053000+0200.wav", "2024-05-01T05:30:00+02:00"),
        ("pond_2024-05-01T05-30-00+02:00.ogg", "2024-05-01T05:30:00+02:00"),
        ("2024-05-01-birdnet-05:30:00.wav", "2024-05-01T05:30:00"),
        # The number of a file is no zone, and the first plausible time counts.
        ("20240501_053000-0001.wav", "2024-05-01T05:30:00"),
        ("20249901_053000_20240501_053000.wav", "2024-05-01T05:30:00"),
    ],
)
def test_names_of_recorders_state_the_start(name: str, time: str) -> None:
    start = from_name(name)
    assert start is not None
    assert (start.time.isoformat(), start.source) == (time, "name")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "dawn.wav",
        "1-100032-A-0.wav",
        "20240501.wav",  # a day without a time
        "20240501.WAV",  # hexadecimal, but from 1987
        "5e90a4d4.wav",  # not as an AudioMoth writes it
        "FFFFFFFF.WAV",
        "20241301_053000.wav",
        "20240230_053000.wav",
        "20240501_243000.wav",
        "19700101_000000.wav",
        "29990101_000000.wav",
        "120240501_0530001.wav",
        "2024-05-01 05.30.00 PM.m4a",
        "٢٠٢٤٠٥٠١_٠٥٣٠٠٠.wav",
        "x" * 250 + ".wav",
    ],
)
def test_other_names_state_none(name: str) -> None:
    assert from_name(name) is None


def test_a_pattern_adds_a_way_to_write_the_time() -> None:
    name = "pond 7 01-05-24 05h_30.wav"
    assert from_name(name) is None
    start = from_name(name, "%d-%m-%y %Hh_%M")
    assert start is not None and start.time.isoformat() == "2024-05-01T05:30:00"
    zoned = from_name("100%_2024.05.01.05+0200", "%%_%Y.%m.%d.%H%z")
    assert zoned is not None and zoned.time.isoformat() == "2024-05-01T05:00:00+02:00"


def test_a_pattern_is_tried_before_the_known_names_and_may_not_match() -> None:
    name = "20240501_053000_01.06.2023 10.wav"
    start = from_name(name, "%d.%m.%Y %H")
    assert start is not None and start.time.isoformat() == "2023-06-01T10:00:00"
    start = from_name(name, "%d/%m/%Y %H")
    assert start is not None and start.time.isoformat() == "2024-05-01T05:30:00"


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("%Y%m%d", "%H"),
        ("%m%d_%H", "year|%Y"),
        ("%Y%y%m%d_%H", "%Y or %y"),
        ("%Y%Y%m%d_%H", "more than once"),
        ("%Q%Y%m%d_%H", "%Q is not one of the codes"),
        ("%Y%m%d_%H%", "% is not one of the codes"),
    ],
)
def test_an_invalid_pattern_is_explained(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compiled(pattern)


def test_special_characters_of_a_pattern_have_no_meaning() -> None:
    assert compiled("(%Y.%m.%d)+[%H]*").search("(2024.05.01)+[05]*")
    assert not compiled("%Y.%m.%d_%H").search("2024x05x01_05")
