"""The start of a recording in the metadata of its file."""

import io
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ml.audio.decode import read
from ml.audio.decoder import Decoder
from ml.audio.file_views import Bytes
from ml.audio.recording_time import MAX_CHUNK_BYTES
from ml.audio.recording_time import read as read_start
from ml.clock_time import from_columns, parse, to_columns
from tests import fixtures

RATE_HZ = 8000
WAV = fixtures.encode(fixtures.noise(0.25, RATE_HZ), RATE_HZ)
LOCAL, ZONED = "2024-05-01T05:30:00", "2024-05-01T05:30:00+02:00"


def chunk(kind: bytes, data: bytes, order: str = "<") -> bytes:
    return kind + struct.pack(f"{order}I", len(data)) + data + b"\0" * (len(data) % 2)


def wav(*chunks: bytes) -> bytes:
    """Return a WAV with chunks after its data."""
    body = WAV[8:] + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def guano(timestamp: str) -> bytes:
    text = f"GUANO|Version: 1.0\nMake: Ours\nTimestamp: {timestamp}\nNote: a:b\n"
    return chunk(b"guan", text.encode())


def wamd(timestamp: str) -> bytes:
    fields = ((0, b"\1\0"), (1, b"SM4"), (5, timestamp.encode()), (8, b"x"))
    return chunk(b"wamd", b"".join(struct.pack("<HI", n, len(d)) + d for n, d in fields))


def bext(date: str, time: str) -> bytes:
    return chunk(b"bext", bytes(320) + f"{date}{time}".encode() + bytes(264))


def ixml(date: str, time: str) -> bytes:
    fields = f"<BWF_ORIGINATION_DATE>{date}</BWF_ORIGINATION_DATE>"
    fields += f"\n<BWF_ORIGINATION_TIME>{time}</BWF_ORIGINATION_TIME>"
    return chunk(b"iXML", f"<?xml version='1.0'?><BWFXML><BEXT>{fields}</BEXT></BWFXML>".encode())


def audiomoth(text: str) -> bytes:
    comment = f"Recorded at {text} by AudioMoth 0FE081F80FE081F0 at gain setting 2.\0".encode()
    return chunk(b"LIST", b"INFO" + chunk(b"ICMT", comment))


def id3(**frames: str) -> bytes:
    """Return an ID3v2.3 tag. Frames whose text begins with | are in UTF-16."""
    body = b""
    for name, text in frames.items():
        wide = text.startswith("|")
        data = b"\1" + text[1:].encode("utf-16") if wide else b"\3" + text.encode() + b"\0"
        body += name.encode() + struct.pack(">IH", len(data), 0) + data
    length = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + length + body


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + kind + data


def movie(seconds: int, wide: bool = False) -> bytes:
    """Return the start of an MP4 whose movie header states the seconds since 1904."""
    head = b"\1\0\0\0" + struct.pack(">Q", seconds) if wide else struct.pack(">II", 0, seconds)
    mdat = struct.pack(">I4sQ", 1, b"mdat", 24) + bytes(8)
    return box(b"ftyp", b"M4A ") + mdat + box(b"moov", box(b"free", b"") + box(b"mvhd", head))


def flac(*blocks: tuple[int, bytes]) -> bytes:
    """Return the metadata of a FLAC file; the last block is padding."""
    bodies = [(0, bytes(34)), *blocks, (0x81, b"")]
    return b"fLaC" + b"".join(struct.pack(">I", kind << 24 | len(d)) + d for kind, d in bodies)


def comment(*fields: str) -> bytes:
    texts = [b"vendor", *(field.encode() for field in fields)]
    first, *rest = (struct.pack("<I", len(text)) + text for text in texts)
    return first + struct.pack("<I", len(rest)) + b"".join(rest)


def seconds_since_1904(time: str) -> int:
    return int((datetime.fromisoformat(time) - datetime(1904, 1, 1, tzinfo=UTC)).total_seconds())


def found(data: bytes, name: str = "WAV", start: int = 0) -> tuple[str, str]:
    """Return the time and the source that a file states."""
    columns = to_columns(read_start(Bytes(io.BytesIO(data)), name, start))
    return columns["recorded_at"], columns["recorded_from"]


MP4_S = seconds_since_1904("2024-05-01T03:30:00+00:00")


@pytest.mark.parametrize(
    ("chunk", "time", "source"),
    [
        (guano("2024-05-01T05:30:00+02:00"), ZONED, "guano"),
        (guano("2024-05-01 05:30:00.250"), f"{LOCAL}.250000", "guano"),
        (guano("2024-05-01T05:30:00Z"), f"{LOCAL}+00:00", "guano"),
        (wamd("2024-05-01 05:30:00-05:00"), f"{LOCAL}-05:00", "wamd"),
        (wamd("2024-05-01 05:30:00\0\0"), LOCAL, "wamd"),
        (audiomoth("05:30:00 01/05/2024 (UTC)"), f"{LOCAL}+00:00", "comment"),
        (audiomoth("05:30:00.5 01/05/2024 (UTC+2)"), f"{LOCAL}.500000+02:00", "comment"),
        (audiomoth("05:30:00 01/05/2024 (UTC-3:30)"), f"{LOCAL}-03:30", "comment"),
        (ixml("2024-05-01", "05:30:00"), LOCAL, "ixml"),
        (bext("2024-05-01", "05:30:00"), LOCAL, "bwf"),
        (bext("2024:05:01", "05-30-00"), LOCAL, "bwf"),
        (chunk(b"id3 ", id3(TDRC=LOCAL)), LOCAL, "id3"),
    ],
)  # fmt: skip
def test_chunks_of_a_wav_state_the_start(chunk: bytes, time: str, source: str) -> None:
    assert found(wav(chunk)) == (time, source)
    assert found(WAV[:12] + chunk + WAV[12:]) == (time, source)


@pytest.mark.parametrize(
    ("tag", "time"),
    [
        (id3(TIT2="Dawn", TDRC=LOCAL), LOCAL),
        (id3(TDRL="2024-05-01T05:30"), LOCAL),
        (id3(TDRL="2023-01-01T00:00", TDRC=f"|{LOCAL}"), LOCAL),
        (id3(TYER="2024", TDAT="0105", TIME="0530"), LOCAL),
        (id3(TYER="|2024", TDAT="|0105", TIME="|0530"), LOCAL),
        (id3(TYER="2024"), ""),
        (id3(TYER="2024", TDAT="0105"), ""),
        (id3(TDRC="2024-05-01"), ""),
    ],
)
def test_an_id3_tag_states_the_start_only_with_a_time(tag: bytes, time: str) -> None:
    assert found(tag + b"\xff\xfb\x90\0" * 9, "MP3", len(tag)) == (time, "id3" if time else "")


def test_an_mp4_states_the_start_in_utc() -> None:
    expected = ("2024-05-01T03:30:00+00:00", "mp4")
    assert found(movie(MP4_S), "MP4") == expected
    assert found(movie(MP4_S, wide=True), "MP4") == expected
    for seconds in (0, 1, 2**32 - 1):
        assert found(movie(seconds), "MP4") == ("", "")
    assert found(movie(2**64 - 1, wide=True), "MP4") == ("", "")


def test_a_flac_states_the_start_in_its_comment_or_in_the_chunks_of_the_wav() -> None:
    assert found(flac((4, comment("TITLE=Dawn", f"date={ZONED}"))), "FLAC") == (ZONED, "vorbis")
    assert found(flac((4, comment("DATE=2024"))), "FLAC") == ("", "")
    kept = [(2, b"riff" + one) for one in (chunk(b"fmt ", bytes(16)), guano(ZONED))]
    assert found(flac(*kept), "FLAC") == (ZONED, "guano")


def test_other_containers_of_chunks_are_read() -> None:
    aiff = fixtures.encode(fixtures.noise(0.25, RATE_HZ), RATE_HZ, "AIFF")
    assert found(aiff + chunk(b"ID3 ", id3(TDRC=LOCAL), ">"), "AIFF") == (LOCAL, "id3")
    content = bext("2024-05-01", "05:30:00")[8:]
    guid = bytes(12)
    w64 = b"riff" + guid + bytes(8) + b"wave" + guid
    for kind, data in ((b"data", bytes(13)), (b"bext", content)):
        w64 += kind + guid + struct.pack("<Q", 24 + len(data)) + data + bytes(-len(data) % 8)
    assert found(w64, "W64") == (LOCAL, "bwf")
    ds64 = chunk(b"ds64", struct.pack("<QQ", 0, 4) + bytes(12))
    data = b"data" + struct.pack("<I", 0xFFFFFFFF) + bytes(4)
    assert found(b"RF64" + bytes(4) + b"WAVE" + ds64 + data + guano(ZONED)) == (ZONED, "guano")


def test_the_best_source_wins_whatever_the_order() -> None:
    chunks = [
        guano("2024-05-01T01:00:00"),
        wamd("2024-05-01 02:00:00"),
        audiomoth("03:00:00 01/05/2024 (UTC)"),
        ixml("2024-05-01", "04:00:00"),
        bext("2024-05-01", "05:00:00"),
        chunk(b"id3 ", id3(TDRC="2024-05-01T06:00:00")),
    ]
    sources = ["guano", "wamd", "comment", "ixml", "bwf", "id3"]
    for first, source in enumerate(sources):
        zone = "+00:00" if source == "comment" else ""
        expected = (f"2024-05-01T0{first + 1}:00:00{zone}", source)
        assert found(wav(*chunks[first:])) == found(wav(*chunks[first:][::-1])) == expected


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "yesterday",
        "2024-05-01",
        "2024-13-01T00:00:00",
        "2024-05-01T25:00:00",
        "2024-05-01T05:30:00+25:00",
        "1979-12-31T23:59:59",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "2024-05-01T05:30:00 and so on",
        pytest.param((datetime.now(UTC) + timedelta(days=2)).isoformat(), id="in two days"),
    ],
)
def test_an_implausible_time_is_ignored_for_the_next_source(timestamp: str) -> None:
    assert found(wav(guano(timestamp), bext("2024-05-01", "05:30:00"))) == (LOCAL, "bwf")
    assert parse(timestamp) is None


FILES = {
    "WAV": wav(wamd(ZONED), ixml("2024-05-01", "05:30:00"), chunk(b"id3 ", id3(TDRC=LOCAL))),
    "MP4": movie(MP4_S, wide=True),
    "FLAC": flac((4, comment(f"DATE={ZONED}"))),
}


@pytest.mark.parametrize("name", FILES)
def test_damaged_metadata_is_no_error(name: str) -> None:
    """Cut anywhere, or with any four bytes overwritten by huge or zero sizes."""
    data = FILES[name]
    head = len(WAV) if name == "WAV" else 0
    for place in range(head, len(data)):
        found(data[:place], name)
        for size in (b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff"):
            found(data[:place] + size + data[place + 4 :], name)


def test_much_metadata_is_not_read_whole() -> None:
    class Counting(io.BytesIO):
        count = 0

        def readinto(self, buffer: object) -> int:
            self.count += (got := super().readinto(buffer))  # type: ignore[arg-type]
            return got

    raw = Counting(wav(*[chunk(b"guan", bytes(4 * MAX_CHUNK_BYTES))] * 40))
    file = Bytes(raw)
    assert read_start(file, "WAV", 0) is None
    assert raw.count < 0.25 * len(raw.getvalue())


def test_the_decoder_process_passes_the_start_on(tmp_path: Path) -> None:
    path = tmp_path / "sound"
    path.write_bytes(wav(guano("2024-05-01T05:30:00+02:00")))
    decoder = Decoder()
    try:
        there = decoder.read(path, 16_000)
    finally:
        decoder.close()
    here = read(path, 16_000)
    assert there.recorded == here.recorded
    assert np.array_equal(there.waveform[:], here.waveform)
    assert here.source["recorded_at"] == ZONED
    assert here.source["recorded_from"] == "guano"


@pytest.mark.parametrize(
    ("at", "source"), [(LOCAL, ""), ("", "name"), ("soon", "name"), (LOCAL, "crystal ball")]
)
def test_columns_of_another_origin_are_rejected(at: str, source: str) -> None:
    with pytest.raises(ValueError, match="'"):
        from_columns(at, source)
