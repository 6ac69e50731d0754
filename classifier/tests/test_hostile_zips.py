"""ZIPs made to hurt: taken in, or refused with a reason, and never more than that."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User

from classifier.models import Batch
from classifier.services import batches, zip_import
from classifier.services.problems import RequestRefused
from tests import malicious_zips

ZIPS = 300


@pytest.fixture
def batch(anna: User) -> Batch:
    return batches.create(anna, "a folder")


def take_in(batch: Batch, path: Path, data: bytes) -> str:
    """The code of its refusal, else nothing."""
    path.write_bytes(data)
    try:
        zip_import.take_in(batch, path)
    except RequestRefused as refused:
        assert refused.problem.detail.endswith(".")
        assert refused.problem.hint.endswith(".")
        return refused.problem.code
    return ""


def test_every_bad_zip_gets_an_answer(batch: Batch, tmp_path: Path) -> None:
    codes = {take_in(batch, tmp_path / "x.zip", data) for _, data in malicious_zips.files(ZIPS)}
    assert {"", "no_zip", "too_many_files"} <= codes
    for file in batch.files.all():
        assert file.path.isprintable()
        assert not file.path.startswith("/")
        assert ".." not in file.path.split("/")
        assert bool(file.code) == bool(file.detail)
    stored = [path.name for path in (tmp_path / "media").rglob("*") if path.is_file()]
    assert all(len(name) == 32 for name in stored)
    assert len(stored) == batches.totals(batch).waiting


@pytest.mark.parametrize("name", ["many entries, one declared", "two conflicting directories"])
def test_a_directory_is_counted_whatever_it_says_of_itself(
    batch: Batch, tmp_path: Path, name: str
) -> None:
    assert (
        take_in(batch, tmp_path / "x.zip", malicious_zips.handcrafted()[name]) == "too_many_files"
    )


def test_a_nameless_member_stops_nothing(batch: Batch, tmp_path: Path) -> None:
    assert take_in(batch, tmp_path / "x.zip", malicious_zips.without_name()) == ""
    assert list(batch.files.values_list("path", "code")) == [("fine.wav", "")]


def test_a_member_that_lies_nowhere_is_damaged(batch: Batch, tmp_path: Path) -> None:
    assert take_in(batch, tmp_path / "x.zip", malicious_zips.impossible_offset()) == ""
    assert list(batch.files.values_list("path", "code")) == [("a.wav", "damaged")]


@pytest.mark.parametrize("name", ["LZMA with a 4 GB dictionary", "deflate64"])
def test_a_packing_that_is_not_read_is_called_so(batch: Batch, tmp_path: Path, name: str) -> None:
    assert take_in(batch, tmp_path / "x.zip", malicious_zips.handcrafted()[name]) == ""
    assert set(batch.files.values_list("code", flat=True)) == {"unsupported"}


def test_the_part_of_a_zip_that_looks_like_a_directory_is_none(
    batch: Batch, tmp_path: Path
) -> None:
    """A stored member may hold any bytes, those of a directory's end among them."""
    inside = b"PK\x06\x06" + b"\xff" * 60 + b"x"
    data = malicious_zips.packed({"odd.wav": inside}, 0)
    assert take_in(batch, tmp_path / "x.zip", data) == ""
    assert list(batch.files.values_list("path", "code")) == [("odd.wav", "")]
