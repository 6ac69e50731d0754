"""Malicious ZIPs are imported, or refused with a reason."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User

from classifier.models import Batch
from classifier.services import batches, zip_import
from classifier.services.problems import RequestRefused
from ml.file_names import label_of, original_of
from tests import malicious_zips

ZIPS = 300


@pytest.fixture
def batch(anna: User) -> Batch:
    return batches.create(anna, "a folder")


def take_in(batch: Batch, path: Path, data: bytes) -> str:
    """Import the ZIP and return the code of the refusal, or "" if it was imported."""
    path.write_bytes(data)
    try:
        zip_import.take_in(batch, path)
    except RequestRefused as refused:
        assert refused.problem.detail.endswith(".")
        assert refused.problem.hint.endswith(".")
        return refused.problem.code
    return ""


def test_every_malicious_zip_is_handled(batch: Batch, tmp_path: Path) -> None:
    codes = {take_in(batch, tmp_path / "x.zip", data) for _, data in malicious_zips.files(ZIPS)}
    assert {"", "no_zip", "too_many_files"} <= codes
    for file in batch.files.all():
        assert label_of(original_of(file.path)) == file.path
        assert not file.path.startswith("/")
        assert ".." not in file.path.split("/")
        assert bool(file.code) == bool(file.detail)
    stored = [path.name for path in (tmp_path / "media").rglob("*") if path.is_file()]
    assert all(len(name) == 32 for name in stored)
    assert len(stored) == batches.totals(batch).waiting


@pytest.mark.parametrize("name", ["many entries, one declared", "two conflicting directories"])
def test_directory_entries_are_counted_instead_of_trusting_the_header(
    batch: Batch, tmp_path: Path, name: str
) -> None:
    assert (
        take_in(batch, tmp_path / "x.zip", malicious_zips.handcrafted()[name]) == "too_many_files"
    )


def test_a_member_without_a_name_does_not_stop_the_import(batch: Batch, tmp_path: Path) -> None:
    assert take_in(batch, tmp_path / "x.zip", malicious_zips.without_name()) == ""
    assert set(batch.files.values_list("path", "code")) == {("%00.wav", ""), ("fine.wav", "")}


def test_a_member_with_an_invalid_offset_is_damaged(batch: Batch, tmp_path: Path) -> None:
    assert take_in(batch, tmp_path / "x.zip", malicious_zips.impossible_offset()) == ""
    assert list(batch.files.values_list("path", "code")) == [("a.wav", "damaged")]


@pytest.mark.parametrize("name", ["LZMA with a 4 GB dictionary", "deflate64"])
def test_an_unsupported_compression_method_is_refused(
    batch: Batch, tmp_path: Path, name: str
) -> None:
    assert take_in(batch, tmp_path / "x.zip", malicious_zips.handcrafted()[name]) == ""
    assert set(batch.files.values_list("code", flat=True)) == {"unsupported"}


def test_member_bytes_that_look_like_a_directory_are_not_parsed(
    batch: Batch, tmp_path: Path
) -> None:
    """An uncompressed member can contain any bytes, including an end-of-directory record."""
    inside = b"PK\x06\x06" + b"\xff" * 60 + b"x"
    data = malicious_zips.packed({"odd.wav": inside}, 0)
    assert take_in(batch, tmp_path / "x.zip", data) == ""
    assert list(batch.files.values_list("path", "code")) == [("odd.wav", "")]
