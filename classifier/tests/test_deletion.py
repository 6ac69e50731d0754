"""Account export, account deletion, and the deletion of old clips."""

import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from classifier import storage
from classifier.models import (
    Analysis,
    Batch,
    Clip,
    Event,
    Inspection,
    InspectionKind,
    State,
)
from classifier.services import account_export, batches, deletion, notes, sharing, tokens
from classifier.services.uploads import accept, accept_once
from classifier.tests.conftest import Caller

PASSWORD = "gr4nular-ear"


def analysed(owner: User, data: bytes, name: str = "dog.wav") -> Analysis:
    """Create a finished analysis with its files and an inspection."""
    analysis = accept_once([data], name=name, owner=owner, key=f"key-{name}").analysis
    analysis.token, analysis.state, analysis.label = "t" * 32, State.DONE, "dog"
    analysis.predictions = [{"class": "dog", "confidence": 0.9}]
    analysis.save()
    Clip.objects.filter(pk=analysis.clip_id).update(format="WAV", duration_s=5.0)
    storage.write_all(storage.analysis_folder(analysis.pk, analysis.token), {"maps.zip": b"maps"})
    inspection = Inspection.objects.create(
        analysis=analysis,
        kind=InspectionKind.EXPLANATION,
        window=0,
        token="s" * 32,
        state=State.DONE,
    )
    storage.write_all(
        storage.inspection_folder(inspection.pk, inspection.token), {"kept.flac": b"kept"}
    )
    return analysis


def furnish(owner: User) -> Analysis:
    """Give a user one object of each kind."""
    analysis = analysed(owner, b"one of " + owner.username.encode())
    batch = batches.create(owner, "trip")
    batches.add_file(batch, "a/b.wav", [b"in a folder"])
    tokens.create(owner, "garden box")
    sharing.share(analysis)
    return analysis


def on_disk(media: Path) -> list[Path]:
    return [path for path in media.rglob("*") if path.is_file()]


def test_deleting_an_account_leaves_no_rows_or_files(
    anna: User, ben: User, own_media: Path
) -> None:
    furnish(ben)
    rest = {model: model._default_manager.count() for model in apps.get_models()}
    disk = sorted(on_disk(own_media))
    furnish(anna)
    visitor, elsewhere = Client(), Client()
    for client in (visitor, elsewhere):
        client.force_login(anna)
    elsewhere.post("/account/sign-in/", {"username": "anna", "password": "wrong"})
    page = visitor.get("/account/delete/").content.decode()
    assert "2 sounds" in page and "1 batch," in page
    answer = visitor.post("/account/delete/", {"password": PASSWORD})
    assert "has been deleted" in answer.content.decode()
    rest[User] -= 1
    assert {model: model._default_manager.count() for model in apps.get_models()} == rest
    assert sorted(on_disk(own_media)) == disk
    assert elsewhere.get("/history/").status_code == 302
    assert not any(b"anna" in str(row.get_decoded()).encode() for row in Session.objects.all())


def test_deleting_an_account_requires_the_password_and_another_superuser(anna: User) -> None:
    visitor = Client()
    visitor.force_login(anna)
    answer = visitor.post("/account/delete/", {"password": "wrong"})
    assert answer.status_code == 400
    assert "The password is incorrect." in answer.content.decode()
    User.objects.update(is_superuser=True)
    answer = visitor.post("/account/delete/", {"password": PASSWORD})
    assert "Make another user a superuser" in answer.content.decode()
    assert User.objects.filter(username="anna", is_active=True).exists()


def test_the_admin_deletes_a_user_with_their_files(
    anna: User, admin_client: Client, own_media: Path
) -> None:
    furnish(anna)
    chosen = {"action": "delete_selected", "_selected_action": [anna.pk], "post": "yes"}
    admin_client.post("/admin/auth/user/", chosen)
    assert not User.objects.filter(username="anna").exists()
    assert on_disk(own_media) == []


def delete_data(admin: Client, *users: User, **confirmed: str) -> str:
    chosen = {"action": "delete_data", "_selected_action": [user.pk for user in users]}
    return admin.post("/admin/auth/user/", chosen | confirmed, follow=True).content.decode()


def test_the_admin_deletes_the_data_of_a_user_and_keeps_the_account(
    anna: User, ben: User, admin_client: Client, own_media: Path
) -> None:
    furnish(ben)
    caller, visitor = Caller(anna), Client()
    tokens.create(anna, "garden box")
    visitor.force_login(anna)
    rest = {model: model._default_manager.count() for model in apps.get_models()}
    disk = sorted(on_disk(own_media))
    analysed(anna, b"one of anna")
    batches.add_file(batches.create(anna, "trip"), "a/b.wav", [b"in a folder"])
    page = delete_data(admin_client, anna)
    assert "2 clips (22\xa0bytes), 2 analyses, 1 batch." in page
    assert Clip.objects.filter(owner=anna).count() == 2
    page = delete_data(admin_client, anna, post="yes")
    assert "Deleted the data of anna: 2 clips" in page
    rest[LogEntry] += 1
    assert {model: model._default_manager.count() for model in apps.get_models()} == rest
    assert sorted(on_disk(own_media)) == disk
    assert "2 clips" in LogEntry.objects.get(object_id=anna.pk).change_message
    assert visitor.get("/history/").status_code == 200
    assert caller.get("clips/").json()["results"] == []
    assert "0 clips" in delete_data(admin_client, anna, ben)


def test_deleting_data_requires_the_permission_to_delete_clips(anna: User, ben: User) -> None:
    furnish(anna)
    User.objects.filter(pk=ben.pk).update(is_staff=True)
    ben.user_permissions.set(Permission.objects.filter(codename="change_user"))
    client = Client()
    client.force_login(ben)
    assert "Delete data" not in client.get("/admin/auth/user/").content.decode()
    delete_data(client, anna, post="yes")
    assert Clip.objects.filter(owner=anna).count() == 2


def test_deleting_data_takes_as_many_queries_for_many_clips_in_a_chunk_as_for_few(
    anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for clips_at_once in (2, 20):
        monkeypatch.setattr(deletion, "CLIPS_AT_ONCE", clips_at_once)
        batch = batches.create(anna, "trip")
        for number in range(2 * clips_at_once):
            batches.add_file(batch, f"{number}.wav", [b"%d" % number])
        with CaptureQueriesContext(connection) as queries:
            deletion.delete_data(anna)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_export_contains_all_data_of_one_user_only(anna: User, ben: User) -> None:
    analysis, theirs = furnish(anna), furnish(ben)
    for one in (analysis, theirs):
        times = {"start_s": 0.5, "end_s": 1.5, "peak_s": 1.0}
        Event.objects.create(analysis=one, label="dog", confidence=0.9, **times)
        notes.set_tags(one.clip, ["garden"])
    visitor = Client()
    visitor.force_login(anna)
    answer = visitor.get("/account/export/")
    assert answer["Cache-Control"] == "no-store"
    with zipfile.ZipFile(io.BytesIO(b"".join(answer))) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        rows = {
            name: [json.loads(line) for line in archive.read(name).splitlines()]
            for name in names
            if name.endswith(".jsonl")
        }
        assert archive.read(f"clips/{analysis.clip_id}.wav") == b"one of anna"
        assert archive.read(f"analyses/{analysis.pk}/maps.zip") == b"maps"
        assert archive.read(f"inspections/{analysis.inspections.get().pk}/kept.flac") == b"kept"
        payload = json.loads(archive.read("account.json"))
    assert {name: len(found) for name, found in rows.items()} == {
        "clips.jsonl": 2,
        "tags.jsonl": 1,
        "clip_tags.jsonl": 1,
        "saved_filters.jsonl": 0,
        "analyses.jsonl": 2,
        "events.jsonl": 1,
        "judgements.jsonl": 0,
        "batches.jsonl": 1,
        "batch_files.jsonl": 1,
        "inspections.jsonl": 1,
        "shares.jsonl": 1,
    }
    assert payload["username"] == "anna"
    assert [token["name"] for token in payload["tokens"]] == ["garden box"]
    assert rows["batch_files.jsonl"][0]["path"] == "a/b.wav"
    assert str(theirs.pk) not in str(rows) and str(theirs.clip_id) not in " ".join(names)


def test_a_large_export_is_streamed(anna: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_export, "ROWS_AT_ONCE", 3)
    for number in range(10):
        accept([b"%d" % number * 400_000], name="x.wav", owner=anna)
    pieces = list(account_export.of(anna))
    assert max(map(len, pieces)) < 2_100_000
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert len([name for name in archive.namelist() if name.startswith("clips/")]) == 10


def test_old_clips_are_deleted_only_if_keep_days_is_set(
    anna: User, settings: Settings, own_media: Path
) -> None:
    old, young = analysed(anna, b"old", "old.wav"), analysed(anna, b"young", "young.wav")
    batch = Batch.objects.create(owner=anna, name="empty and old")
    busy = accept([b"busy"], name="busy.wav", owner=anna)
    held = {"state": State.RUNNING, "leased_until": timezone.now() + timedelta(hours=1)}
    Analysis.objects.filter(pk=busy.pk).update(**held)
    long_ago = timezone.now() - timedelta(days=31)
    Clip.objects.filter(pk__in=(old.clip_id, busy.clip_id)).update(created_at=long_ago)
    Batch.objects.filter(pk=batch.pk).update(created_at=long_ago)
    assert deletion.remove_aged(100) == 0
    settings.KEEP_DAYS = 30
    assert deletion.remove_aged(100) == 1
    assert set(Clip.objects.values_list("pk", flat=True)) == {young.clip_id, busy.clip_id}
    assert not Batch.objects.exists()
    assert not storage.analysis_folder(old.pk, old.token).exists()
    assert storage.analysis_folder(young.pk, young.token).exists()
