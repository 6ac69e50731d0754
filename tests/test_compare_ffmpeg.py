"""The decoder agrees with the `ffmpeg` program. `make formats` compares more files."""

import shutil

import pytest

from tools.compare_ffmpeg import KINDS, compare


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs the ffmpeg program")
def test_it_agrees_with_ffmpeg_on_one_file_of_every_format() -> None:
    found = compare(len(KINDS))
    assert len(found) == len(KINDS)
    assert {result for results in found.values() for result in results} == {"same"}
