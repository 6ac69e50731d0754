"""Quotas per user: unfinished clips, and bytes per day."""

import io
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from classifier.models import Analysis, Batch, Clip
from classifier.tests.conftest import Caller, done, queued, refused


@pytest.fixture
def small(settings: Settings) -> Settings:
    settings.MAX_WAITING_CLIPS = 2
    settings.MAX_DAY_BYTES = 10_000
    return settings


def stored(media: Path) -> list[Path]:
    return [path for path in media.rglob("*") if path.is_file()]


def test_uploads_are_refused_with_too_many_unfinished_clips(
    caller: Caller, ben: User, small: Settings, own_media: Path
) -> None:
    assert caller.upload(b"1").status_code == caller.upload(b"2").status_code == 202
    answer = caller.upload(b"3")
    refused(answer, 429, "too_many_waiting")
    assert int(answer["Retry-After"]) > 0
    assert len(stored(own_media)) == Clip.objects.count() == 2
    assert Caller(ben).upload(b"3").status_code == 202
    Analysis.objects.filter(owner=caller.user).update(state="done")
    assert caller.upload(b"3").status_code == 202


def test_known_bytes_do_not_count(caller: Caller, small: Settings) -> None:
    caller.upload(b"1"), caller.upload(b"2")
    assert caller.upload(b"1").status_code == 200


def test_uploads_are_limited_in_bytes_per_day(caller: Caller, small: Settings) -> None:
    assert caller.upload(b"x" * 9_000).status_code == 202
    refused(caller.upload(b"y" * 2_000), 429, "too_much_today")
    assert caller.upload(b"y" * 1_000).status_code == 202
    Clip.objects.update(created_at=timezone.now() - timedelta(hours=25))
    Analysis.objects.update(state="done")
    assert caller.upload(b"z" * 9_000).status_code == 202


def test_the_page_shows_the_quota_and_superusers_have_none(anna: User, small: Settings) -> None:
    for _ in range(2):
        queued(anna)
    visitor = Client()
    visitor.force_login(anna)
    answer = visitor.post("/clips/", {"file": SimpleUploadedFile("x.wav", b"3")})
    assert answer.status_code == 429
    assert "Wait until some of them are finished" in answer.content.decode()
    User.objects.update(is_superuser=True)
    assert visitor.post("/clips/", {"file": SimpleUploadedFile("x.wav", b"3")}).status_code == 302


def test_a_quota_does_not_refuse_files_of_a_batch_permanently(
    caller: Caller, small: Settings, tmp_path: Path
) -> None:
    """Files beyond the quota can be sent again later; accepted files stay."""
    address = f"batches/{caller.post('batches/', {'name': 'trip'}).json()['id']}/"
    sent = [caller.send(address, f"{n}.wav", b"%d" % n) for n in range(3)]
    assert [answer.status_code for answer in sent] == [202, 202, 429]
    batch = Batch.objects.get()
    assert batch.files.count() == 2
    Analysis.objects.update(state="done")
    assert caller.send(address, "2.wav", b"2").status_code == 202

    visitor = Client()
    visitor.force_login(caller.user)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for n in range(2, 6):
            file.writestr(f"{n}.wav", b"%d" % n)
    answer = visitor.post(f"/{address}zip/", archive.getvalue(), content_type="application/zip")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_waiting")
    assert batch.files.count() == 4  # one file of the ZIP was accepted before the limit

    for n in range(3):
        (tmp_path / f"folder{n}.wav").write_bytes(b"folder %d" % n)
    with pytest.raises(CommandError, match="unfinished clips"):
        call_command("submit_folder", str(tmp_path), user="anna")


def test_finished_clips_do_not_count_as_waiting(
    anna: User, caller: Caller, small: Settings
) -> None:
    for _ in range(5):
        done(anna)
    assert caller.upload(b"1").status_code == 202
