"""Clips in the API: single clips and analyses, idempotency keys, known bytes, classify."""

import base64
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from classifier.api.views import classify
from classifier.models import Analysis, Clip, IdempotencyKey
from classifier.services import tokens, uploads
from classifier.tests.conftest import Caller, done, queued, refused


def test_a_clip_comes_with_its_newest_analyses(caller: Caller) -> None:
    row = done(caller.user)
    clip = caller.get(f"clips/{row.clip_id}/").json()
    assert (clip["format"], clip["duration_s"], clip["size_bytes"]) == ("WAV", 5.0, 1000)
    assert [analysis["id"] for analysis in clip["analyses"]] == [str(row.pk)]


def test_deleting_and_analysing_again(caller: Caller) -> None:
    row = done(caller.user)
    again = caller.post(f"clips/{row.clip_id}/analyses/")
    assert again.status_code == 202
    assert again["Location"] == f"/api/v1/analyses/{again.json()['analysis']}/"
    assert again.json()["clip"] == str(row.clip_id)
    assert caller.delete(f"analyses/{row.pk}/").status_code == 204
    assert caller.get(f"analyses/{row.pk}/").status_code == 404
    assert caller.delete(f"clips/{row.clip_id}/").status_code == 204
    assert not Analysis.objects.exists()


def test_only_queued_analyses_can_be_cancelled(caller: Caller) -> None:
    waiting, analysed = queued(caller.user), done(caller.user)
    answer = caller.post(f"analyses/{waiting.pk}/cancel/")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert answer.json()["finished_at"]
    refused(caller.post(f"analyses/{waiting.pk}/cancel/"), 409, "not_waiting")
    refused(caller.post(f"analyses/{analysed.pk}/cancel/"), 409, "not_waiting")
    assert Analysis.objects.claim(16, 10**9) == []


def test_clips_of_another_user_are_not_found(caller: Caller, ben: User) -> None:
    row = queued(ben)
    theirs, _ = tokens.create(ben)
    for path in ("clips/", "analyses/"):
        assert caller.ids(path) == []
    for answer in (
        caller.get(f"clips/{row.clip_id}/"),
        caller.delete(f"clips/{row.clip_id}/"),
        caller.patch(f"clips/{row.clip_id}/", {"recorded_at": "2024-05-01T05:30:00"}),
        caller.post(f"clips/{row.clip_id}/analyses/"),
        caller.get(f"analyses/{row.pk}/"),
        caller.delete(f"analyses/{row.pk}/"),
        caller.post(f"analyses/{row.pk}/cancel/"),
        caller.delete(f"tokens/{theirs.public_id}/"),
    ):
        refused(answer, 404, "not_found")
    assert Analysis.objects.filter(state="queued").count() == 1


def test_the_same_key_and_bytes_get_the_same_answer(caller: Caller, own_media: Path) -> None:
    first = caller.upload(b"sound", key="k1")
    second = caller.upload(b"sound", key="k1")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert first["Location"] == second["Location"]
    assert "Idempotent-Replayed" not in first
    assert second["Idempotent-Replayed"] == "true"
    assert caller.upload(b"sound", key="k1", again="true").json() == first.json()
    assert Clip.objects.count() == 1
    refused(caller.upload(b"other", key="k1"), 409, "key_reused")
    assert len([path for path in own_media.rglob("*") if path.is_file()]) == 1


def test_keys_belong_to_their_owner_and_last_as_long_as_the_analysis(
    caller: Caller, ben: User
) -> None:
    first = caller.upload(b"sound", key="k1")
    other = Caller(ben).upload(b"another", key="k1")
    assert other.status_code == 202
    caller.delete(f"clips/{first.json()['clip']}/")
    assert IdempotencyKey.objects.count() == 1
    assert caller.upload(b"elsewhere", key="k1").status_code == 202


@pytest.mark.parametrize("key", ["k" * 201, "two words", "é"])
def test_an_invalid_idempotency_key_is_refused(caller: Caller, key: str) -> None:
    refused(caller.upload(b"sound", key=key), 400, "invalid")
    assert not Clip.objects.exists()


def test_known_bytes_return_the_earlier_result(caller: Caller, ben: User) -> None:
    first = caller.upload(b"sound")
    second = caller.upload(b"sound", key="new")
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["duplicate"] is False
    assert second.json() == first.json() | {"duplicate": True}
    assert second["Location"] == first["Location"]
    replayed = caller.upload(b"sound", key="new")
    assert (replayed.status_code, replayed.json()) == (200, second.json())
    assert Caller(ben).upload(b"sound").status_code == 202
    forced = caller.upload(b"sound", again="true")
    assert forced.status_code == 202
    assert forced.json()["analysis"] != first.json()["analysis"]
    refused(caller.upload(b"sound", again="maybe"), 400, "invalid")


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_bytes_without_a_result_are_not_known(caller: Caller, state: str) -> None:
    caller.upload(b"sound")
    Analysis.objects.update(state=state)
    assert caller.upload(b"sound").status_code == 202


def test_pages_accept_known_bytes_as_new_clips(anna: User) -> None:
    first, second = (uploads.accept([b"x"], name="x", owner=anna) for _ in range(2))
    assert first.pk != second.pk


def test_classify_returns_the_location_of_the_analysis_after_a_timeout(
    caller: Caller, settings: Settings
) -> None:
    settings.CLASSIFY_WAIT_S = 0
    answer = caller.post("classify/", {"audio_data": base64.b64encode(b"sound").decode()})
    assert answer.status_code == 202
    assert answer["Location"] == f"/api/v1/analyses/{answer.json()['analysis']}/"


@pytest.mark.parametrize(
    ("code", "status"), [("damaged", 400), ("crashed", 500), ("checkpoint_missing", 500)]
)
def test_classify_distinguishes_bad_files_from_server_errors(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    row = queued(
        caller.user, state="failed", error_code=code, error_detail="It broke.", error_hint="Fix."
    )
    monkeypatch.setattr(classify, "_waited_for", lambda pk: row)
    refused(caller.post("classify/", {"audio_data": "c291bmQ="}), status, code)
