"""Tests of the jobs that the sweep returns and the data that it removes."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from classifier import storage
from classifier.models import (
    MAX_ATTEMPTS_WORKER_LOST,
    Analysis,
    Clip,
    Inspection,
    InspectionKind,
    State,
)
from classifier.services import uploads, visitors
from classifier.services.deletion import ORPHAN_AGE_S, remove_orphans
from tasks.sweep import return_expired, sweep


@pytest.fixture(autouse=True)
def own_media(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def age(path: Path) -> Path:
    old = time.time() - ORPHAN_AGE_S - 60
    os.utime(path, (old, old))
    return path


def test_it_returns_jobs_with_an_expired_lease(db: None) -> None:
    owner = User.objects.create_user("anna")
    uploads.accept([b"x"], name="x", owner=owner)
    Analysis.objects.claim(1, 10**9)
    assert return_expired() == 0
    Analysis.objects.update(leased_until="2020-01-01T00:00Z")
    assert return_expired() == 1
    assert Analysis.objects.get().state == State.QUEUED


def test_an_analysis_fails_after_many_lost_workers(db: None) -> None:
    """The cause of those deaths is unknown, so more attempts are allowed than for a crash."""
    owner = User.objects.create_user("anna")
    uploads.accept([b"x"], name="x", owner=owner)
    for _ in range(MAX_ATTEMPTS_WORKER_LOST):
        assert Analysis.objects.get().state == State.QUEUED
        assert len(Analysis.objects.claim(16, 1000)) == 1
        Analysis.objects.update(leased_until="2020-01-01T00:00Z")
        assert return_expired() == 1
    row = Analysis.objects.get()
    assert (row.state, row.error_code) == (State.FAILED, "crashed")
    assert f"{MAX_ATTEMPTS_WORKER_LOST} times" in row.error_detail


def test_it_returns_an_inspection_and_removes_the_folder_of_the_lost_lease(db: None) -> None:
    owner = User.objects.create_user("anna")
    analysis = uploads.accept([b"x"], name="x", owner=owner)
    Inspection.objects.create(analysis=analysis, kind=InspectionKind.WINDOW, window=0)
    late = Inspection.objects.claim()
    assert late is not None
    Inspection.objects.update(leased_until="2020-01-01T00:00Z")
    assert return_expired() == 1
    assert Inspection.objects.get().state == State.QUEUED
    mine = Inspection.objects.claim()
    assert mine is not None
    folders = [storage.inspection_folder(one.pk, one.token) for one in (late, mine)]
    for folder in folders:
        storage.write_all(folder, {"maps.zip": b""})
        age(folder)
    assert remove_orphans(str(mine.pk)[:2]) == 1
    assert [folder.exists() for folder in folders] == [False, True]


def test_it_removes_only_old_files_without_a_row(db: None) -> None:
    owner = User.objects.create_user("anna")
    analysis = uploads.accept([b"kept"], name="kept", owner=owner)
    (mine,) = Analysis.objects.claim(1, 10**9)
    known = age(storage.clip_path(analysis.clip.file_key))
    result = storage.analysis_folder(mine.pk, mine.token)
    storage.write_all(result, {"strip.png": b""})
    age(result)

    stale = storage.analysis_folder(mine.pk, "0" * 32)
    storage.write_all(stale, {"strip.png": b""})
    age(stale)
    orphan = storage.clip_path("00" * 16)
    orphan.parent.mkdir(parents=True, exist_ok=True)
    orphan.touch()
    age(orphan)
    young = storage.clip_path("00" + "11" * 15)
    young.touch()
    stray = stale.parent / ".DS_Store"
    stray.touch()
    age(stray)
    half = storage.incoming_path("22" * 16)
    half.touch()
    age(half)

    for shard in {"00", known.parent.name, result.parent.name}:
        remove_orphans(shard)
    assert known.exists()
    assert result.exists()
    assert young.exists()
    assert not stale.exists()
    assert not orphan.exists()
    assert not half.exists()
    assert not stray.exists()


def test_it_removes_clips_older_than_keep_days(db: None, settings: Settings) -> None:
    settings.KEEP_DAYS = 30
    owner = User.objects.create_user("anna")
    analysis = uploads.accept([b"x"], name="x", owner=owner)
    Analysis.objects.update(state=State.DONE)
    sweep("00")
    assert Clip.objects.exists()
    Clip.objects.update(created_at="2020-01-01T00:00Z")
    sweep("00")
    assert not Clip.objects.exists()
    assert not storage.clip_path(analysis.clip.file_key).exists()


def test_it_removes_a_sound_of_a_visitor_after_an_hour_but_nobody_else_s(db: None) -> None:
    uploads.accept([b"x"], name="x", owner=User.objects.create_user("anna"))
    visitors.accept([b"y"], name="y", size_bytes=1)
    Analysis.objects.update(state=State.DONE)
    sweep("00")
    assert Clip.objects.count() == 2
    Clip.objects.update(created_at=timezone.now() - timedelta(minutes=61))
    sweep("00")
    assert Clip.objects.get().name == "x"
