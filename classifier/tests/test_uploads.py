"""Storing uploads."""

import errno
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from classifier import storage
from classifier.models import Analysis, Clip
from classifier.services import deletion, uploads
from classifier.services.problems import RequestRefused


def stored_files(media: Path) -> list[Path]:
    return [path for path in media.rglob("*") if path.is_file()]


def test_bytes_are_stored_under_a_random_name(anna: User, own_media: Path) -> None:
    analysis = uploads.accept([b"abc", b"def"], name="dog bark.wav", owner=anna)
    clip = analysis.clip
    assert clip.name == "dog bark.wav"
    assert clip.sha256 == hashlib.sha256(b"abcdef").hexdigest()
    assert storage.clip_path(clip.file_key).read_bytes() == b"abcdef"
    assert "dog" not in str(stored_files(own_media))


@pytest.mark.parametrize(
    ("chunks", "code", "status"), [([b""], "empty", 400), ([b"x" * 600] * 2, "too_large", 413)]
)
def test_a_refused_upload_leaves_no_file(
    anna: User,
    own_media: Path,
    settings: Settings,
    chunks: list[bytes],
    code: str,
    status: int,
) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    with pytest.raises(RequestRefused) as refused:
        uploads.accept(chunks, name="x.wav", owner=anna)
    assert (refused.value.problem.code, refused.value.status) == (code, status)
    assert refused.value.problem.hint
    assert stored_files(own_media) == []
    assert not Clip.objects.exists()


@pytest.mark.parametrize("left_bytes", [0, 10**12])
def test_a_full_disk_refuses_uploads_and_leaves_no_file(
    anna: User, own_media: Path, monkeypatch: pytest.MonkeyPatch, left_bytes: int
) -> None:
    """The disk is full before the upload, or becomes full during it."""

    def chunks() -> Iterator[bytes]:
        yield b"x"
        raise OSError(errno.ENOSPC, "No space left on device")

    if not left_bytes:
        monkeypatch.setattr(storage, "MIN_FREE_BYTES", 10**18)
    with pytest.raises(RequestRefused) as refused:
        uploads.accept(chunks(), name="x.wav", owner=anna)
    assert (refused.value.problem.code, refused.value.status) == ("no_room", 507)
    assert not stored_files(own_media)
    assert not Clip.objects.exists()


def test_an_interrupted_upload_leaves_no_file(anna: User, own_media: Path) -> None:
    def broken():
        yield b"abc"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        uploads.accept(broken(), name="x.wav", owner=anna)
    assert stored_files(own_media) == []


def test_the_same_bytes_are_stored_once_per_owner(anna: User, ben: User, own_media: Path) -> None:
    first, second = (uploads.accept([b"same"], name=n, owner=anna) for n in ("a", "b"))
    theirs = uploads.accept([b"same"], name="c", owner=ben)
    assert first.clip.file_key == second.clip.file_key != theirs.clip.file_key
    assert len(stored_files(own_media)) == 2
    deletion.delete_clip(first.clip)
    assert len(stored_files(own_media)) == 2
    deletion.delete_clip(second.clip)
    assert len(stored_files(own_media)) == 1


def test_a_body_far_over_the_limit_is_refused_without_reading_it(
    anna: User, settings: Settings, client: Client
) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    client.force_login(anna)
    answer = client.post(
        "/api/v1/clips/", b"x", content_type="multipart/form-data", CONTENT_LENGTH="1002001"
    )
    assert answer.status_code == 413
    assert set(answer.json()) == {"code", "detail", "hint"}


def test_analyse_again_twice_is_one_analysis_while_it_waits(anna: User) -> None:
    clip = uploads.accept([b"x"], name="x", owner=anna).clip
    Analysis.objects.update(state="done")
    assert uploads.analyse_again(clip).pk == uploads.analyse_again(clip).pk
    assert clip.analyses.count() == 2


def test_a_body_without_a_declared_length_is_refused(client: Client) -> None:
    answer = client.generic("POST", "/api/v1/clips/", b"", HTTP_TRANSFER_ENCODING="chunked")
    assert answer.status_code == 411
    assert answer.json()["code"] == "length_required"
    assert "Content-Length" in answer.json()["hint"]
