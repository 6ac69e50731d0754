"""Files that are unusual but sound: the command, the API and the page agree on what was decoded."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import pytest

from ml.notices import SENTENCES
from tests import fixtures
from tests.fixtures import FFmpegOptions
from tests.server import ROOT, Person, Server

RATE_HZ = 44_100
TONE = fixtures.tone(700, 2.0, RATE_HZ)
LOW_TONE = fixtures.tone(900, 2.0, RATE_HZ // 2)


@dataclass(frozen=True, slots=True)
class Case:
    """A file, its duration, and whether browsers play it."""

    data: bytes
    duration_s: float = 2.0
    notices: tuple[str, ...] = ()
    playable: bool = False


def tone(form: str, low: bool = False) -> bytes:
    if form in fixtures.RATES_HZ:
        rate_hz = fixtures.RATES_HZ[form]
        return fixtures.encode(fixtures.tone(700, 2.0, rate_hz), rate_hz, form)
    return fixtures.encode(LOW_TONE if low else TONE, RATE_HZ // 2 if low else RATE_HZ, form)


def by_ffmpeg(container: str, codec: str) -> bytes:
    return fixtures.encode_with_ffmpeg(TONE, RATE_HZ, FFmpegOptions(container, codec))


def cases() -> Iterator[tuple[str, Case]]:
    yield from joined()
    yield from unusual_starts()
    yield from unusual_headers()
    for form in ("CAF", "W64", "AU", "WavPack", "ALAC"):
        yield form, Case(tone(form))
    for name, container, codec in (("FLAC in Ogg", "ogg", "flac"), ("layer II", "mp2", "mp2")):
        yield name, Case(by_ffmpeg(container, codec))
    narrow = FFmpegOptions("3gp", "libopencore_amrnb")
    speech = fixtures.tone(700, 2.0, 8_000)
    yield "AMR in 3GP", Case(fixtures.encode_with_ffmpeg(speech, 8_000, narrow))
    yield "64-bit WAV", Case(fixtures.encode(TONE, RATE_HZ, subtype="DOUBLE"))
    yield "Speex", Case(speex(), notices=("silent",))
    inverted = fixtures.encode(fixtures.stereo(TONE, -TONE), RATE_HZ)
    yield "inverted stereo", Case(inverted, 2.0, ("channels_cancelled",), playable=True)
    high = fixtures.encode(fixtures.tone(1000, 0.3, 384_002), 384_002)
    yield "384,002 Hz", Case(high, 0.3, playable=True)
    for bits in (12, 20):
        # 20 whole blocks.
        flac = fixtures.verbatim_flac(fixtures.tone(700, 2.6, 32_000), 32_000, bits)
        yield f"FLAC of {bits} bits", Case(flac, 2.56)
    amr = fixtures.encode(speech, 8_000, "AMR")
    half = len(b"#!AMR\n") + 13 * 50
    pause = b"\x44" + bytes(5) + 24 * b"\x7c"
    yield "AMR with a pause", Case(amr[:half] + pause + amr[half:], 2.5)


def joined() -> Iterator[tuple[str, Case]]:
    chained = ("parts_joined",)
    yield "chained Vorbis", Case(tone("OGG") + tone("OGG"), 4.0, chained)
    yield "chained Opus", Case(tone("Opus") + tone("Opus"), 4.0, chained)
    for form in ("MP3 bare", "AAC"):
        high, low = tone(form), tone(form, low=True)
        yield f"{form}, 44.1 then 22.05 kHz", Case(high + low, 4.1, ("rate_changed",))
        yield f"{form}, 22.05 then 44.1 kHz", Case(low + high, 4.1, ("rate_changed",))


def unusual_starts() -> Iterator[tuple[str, Case]]:
    mp3, aac = tone("MP3 bare"), tone("AAC")
    skipped = ("start_skipped",)
    yield "a newline, then MP3", Case(b"\r\n" + mp3, 2.0, skipped)
    yield "zeros, then MP3", Case(bytes(1024) + mp3, 2.0, skipped)
    yield "MP3 from mid-frame", Case(mp3[100:], 2.0, skipped)
    yield "AAC from mid-frame", Case(aac[100:], 2.0, skipped)
    yield "AAC to mid-frame", Case(aac[: len(aac) * 2 // 3], 1.35, ("cut_short",))
    yield "an ID3 tag, then WAV", Case(fixtures.id3_tag(100) + tone("WAV"))
    mp4 = tone("M4A")
    yield "MP4 without ftyp", Case(mp4[:4] + b"free" + mp4[8:], playable=True)
    theora = b"\x80theora\x03\x02\x01" + struct.pack(">HH", 2, 2) + bytes(28)
    yield "a Theora film", Case(fixtures.ogg_page(theora, serial=7, kind=2) + tone("OGG"))


def unusual_headers() -> Iterator[tuple[str, Case]]:
    wav = bytearray(tone("WAV"))
    wav[wav.index(b"data") + 4 : wav.index(b"data") + 8] = bytes(4)
    yield "WAV whose data size is 0", Case(bytes(wav))
    yield "BW64", Case(b"BW64" + fixtures.encode(TONE, RATE_HZ, format="RF64")[4:])


def speex() -> bytes:
    """Return two seconds of silence at 8 kHz: there is no encoder of Speex in PyAV."""
    head = b"Speex   " + b"1.2".ljust(20, b"\0")
    head += struct.pack("<13i", 1, 80, 8_000, 0, 4, 1, -1, 160, 0, 1, 0, 0, 0)
    # A frame of 20 ms: mode 0, then the end.
    frames = [b"\x03\xc0" + bytes(8)] * 100
    bodies = [head, bytes(8), *frames]
    kinds = [2, *(0 for _ in bodies[2:]), 4]
    pages = zip(bodies, kinds, strict=True)
    return b"".join(fixtures.ogg_page(body, serial=7, kind=kind) for body, kind in pages)


CASES = dict(cases())


@pytest.fixture(scope="module")
def sender(server: Server) -> Person:
    return server.person()


@pytest.fixture(scope="module")
def analyses(sender: Person) -> dict[str, dict[str, Any]]:
    sent = {name: sender.submit("sound", case.data) for name, case in CASES.items()}
    return {name: sender.wait(location) for name, location in sent.items()}


@pytest.fixture(scope="module")
def printed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("intake")
    paths = [folder / str(number) for number in range(len(CASES))]
    for path, case in zip(paths, CASES.values(), strict=True):
        path.write_bytes(case.data)
    done = subprocess.run(
        [sys.executable, "-m", "ml", "--json", *map(str, paths)],
        cwd=ROOT, env=server.env, check=False, capture_output=True, text=True,
    )  # fmt: skip
    lines = map(json.loads, done.stdout.splitlines())
    return dict(zip(CASES, lines, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_an_unusual_file_is_analysed(
    sender: Person,
    analyses: dict[str, dict[str, Any]],
    printed: dict[str, dict[str, Any]],
    name: str,
) -> None:
    case, analysis, line = CASES[name], analyses[name], printed[name]
    for found in (analysis, line):
        assert not found.get("error")
        assert found["duration_s"] == pytest.approx(case.duration_s, abs=0.09)
        assert tuple(notice["code"] for notice in found["notices"]) == case.notices
    assert line["predictions"][0]["class"] == analysis["predictions"][0]["class"]
    page = sender.page(f"/analyses/{analysis['id']}/").text
    assert all(escape(SENTENCES[code]) in page for code in case.notices)
    sound = sender.get(f"/media/analyses/{analysis['id']}/audio")
    if case.playable:
        assert sound.content == case.data
    else:
        assert sound.content[:4] == b"fLaC"
        assert sound.headers["Content-Type"] == "audio/flac"
