"""REST: lists, filters, paging, deleting, cancelling, keys and duplicates."""

import base64
import re
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import caches
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from kombu.exceptions import OperationalError
from pytest_django import DjangoAssertNumQueries, Settings

from classifier import health, tokens, uploads
from classifier.api import classify, throttles
from classifier.models import Analysis, ApiToken, Clip, IdempotencyKey
from classifier.tests.conftest import done, queued


class Caller:
    """A client that holds a token of its user."""

    def __init__(self, user: User) -> None:
        self.user = user
        _, self.token = tokens.create(user)
        self.client = Client(headers={"Authorization": f"Token {self.token}"})

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query)

    def post(self, path: str, body: Any = None) -> Any:
        return self.client.post(f"/api/v1/{path}", body or {}, content_type="application/json")

    def delete(self, path: str) -> Any:
        return self.client.delete(f"/api/v1/{path}")

    def upload(self, data: bytes, key: str = "", again: str = "") -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        address = f"/api/v1/clips/?again={again}" if again else "/api/v1/clips/"
        file = SimpleUploadedFile("x.wav", data)
        return self.client.post(address, {"file": file}, headers=headers)

    def ids(self, path: str, **query: Any) -> list[str]:
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.content
        return [row["id"] for row in answer.json()["results"]]


@pytest.fixture
def caller(anna: User) -> Caller:
    return Caller(anna)


def refused(answer: Any, status: int, code: str = "") -> None:
    assert answer.status_code == status, answer.content
    assert set(answer.json()) == {"code", "detail", "hint"}
    assert not code or answer.json()["code"] == code


# --- lists --------------------------------------------------------------------------------


def test_analyses_can_be_filtered_by_everything_that_is_promised(caller: Caller) -> None:
    dog, rain = done(caller.user, "dog", 0.9), done(caller.user, "rain", 0.4)
    waiting = queued(caller.user)
    Analysis.objects.filter(pk=dog.pk).update(
        checkpoint="a@1", created_at=timezone.now() - timedelta(days=2)
    )
    Clip.objects.filter(pk=rain.clip_id).update(name="Garden.wav")
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    assert caller.ids("analyses/") == [str(row.pk) for row in (waiting, rain, dog)]
    assert caller.ids("analyses/", label="dog") == [str(dog.pk)]
    assert caller.ids("analyses/", min_confidence=0.5) == [str(dog.pk)]
    assert caller.ids("analyses/", state="queued") == [str(waiting.pk)]
    assert caller.ids("analyses/", checkpoint="a@1") == [str(dog.pk)]
    assert caller.ids("analyses/", name="garden") == [str(rain.pk)]
    assert caller.ids("analyses/", clip=rain.clip_id) == [str(rain.pk)]
    assert caller.ids("analyses/", created_before=yesterday) == [str(dog.pk)]
    assert caller.ids("analyses/", created_after=yesterday, label="rain") == [str(rain.pk)]
    (row,) = caller.get("analyses/", label="dog").json()["results"]
    assert (row["label"], row["confidence"]) == ("dog", 0.9)
    assert not {"predictions", "maps", "timings"} & set(row)


def test_clips_can_be_filtered_by_name_format_and_date(caller: Caller) -> None:
    heard, waiting = done(caller.user), queued(caller.user)
    assert caller.ids("clips/") == [str(waiting.clip_id), str(heard.clip_id)]
    assert caller.ids("clips/", format="WAV") == [str(heard.clip_id)]
    assert caller.ids("clips/", format="MP3") == []
    assert caller.ids("clips/", name="x.w", created_before="2020-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("analyses/", "state=nonsense"),
        ("analyses/", "min_confidence=high"),
        ("analyses/", "min_confidence=1.5"),
        ("analyses/", "min_confidence=nan"),
        ("analyses/", "created_after=yesterday"),
        ("analyses/", "created_after=0001-01-01T00:00:00%2B14:00"),
        ("analyses/", "clip=7"),
        ("analyses/", "lable=dog"),
        ("analyses/", "label=dog&label=rain"),
        ("analyses/", "label=a%00b"),
        ("analyses/", "name=%00"),
        ("analyses/", "limit=0"),
        ("analyses/", "limit=1000"),
        ("analyses/", "cursor=%00"),
        ("clips/", "format=docx"),
        ("clips/", "state=done"),
        ("tokens/", "limit=none"),
    ],
)
def test_a_filter_that_is_not_understood_is_refused(caller: Caller, path: str, query: str) -> None:
    refused(caller.client.get(f"/api/v1/{path}?{query}"), 400, "invalid")


@pytest.mark.parametrize(
    "cursor", ["bm90aGluZw==", "cD1nYXJiYWdl", "cD0wMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAw", "no", "é"]
)
def test_a_made_up_cursor_leads_nowhere(caller: Caller, cursor: str) -> None:
    refused(caller.get("analyses/", cursor=cursor), 404, "no_such_page")


def test_pages_follow_each_other_to_the_last_row_and_back(caller: Caller) -> None:
    rows = [str(queued(caller.user).pk) for _ in range(7)]
    seen: list[str] = []
    page = caller.get("analyses/", limit=3).json()
    first = page
    while True:
        seen += [row["id"] for row in page["results"]]
        if page["next"] is None:
            break
        queued(caller.user)  # somebody uploads meanwhile
        page = caller.client.get(page["next"]).json()
    assert seen == rows[::-1]
    back = caller.client.get(page["previous"]).json()
    assert [row["id"] for row in back["results"]] == seen[3:6]
    assert first["previous"] is None


@pytest.mark.parametrize("path", ["analyses/", "clips/", "tokens/", "checkpoints/"])
def test_a_list_asks_the_same_of_a_hundred_rows_as_of_two_thousand(
    caller: Caller, path: str
) -> None:
    caller.get(path)  # the token's first use is noted
    counts = []
    for rows in (100, 1900):
        fill(caller.user, rows)
        with CaptureQueriesContext(connection) as asked:
            caller.get(path, **{} if path == "checkpoints/" else {"limit": 200})
        counts.append(len(asked))
    assert counts == [3, 3]


def fill(owner: User, rows: int) -> None:
    clips = [
        Clip(owner=owner, name=f"{n}.wav", file_key="ab" * 16, size_bytes=1, sha256="0" * 64)
        for n in range(rows)
    ]
    Clip.objects.bulk_create(clips)
    Analysis.objects.bulk_create(
        Analysis(clip=clip, owner=owner, state="done", label="dog", checkpoint=f"c@{n % 3}")
        for n, clip in enumerate(clips)
    )
    ApiToken.objects.bulk_create(
        ApiToken(user=owner, digest=f"{rows}.{n}", token_key="x", expiry=None) for n in range(rows)
    )


def test_checkpoints_are_counted(caller: Caller, ben: User) -> None:
    for owner, checkpoint in ((caller.user, "a@1"), (caller.user, "a@1"), (ben, "b@2")):
        Analysis.objects.filter(pk=done(owner).pk).update(checkpoint=checkpoint)
    (row,) = caller.get("checkpoints/").json()["results"]
    assert (row["checkpoint"], row["analyses"]) == ("a@1", 2)


# --- one of them --------------------------------------------------------------------------


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


def test_only_what_waits_can_be_cancelled(caller: Caller) -> None:
    waiting, heard = queued(caller.user), done(caller.user)
    answer = caller.post(f"analyses/{waiting.pk}/cancel/")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert answer.json()["finished_at"]
    refused(caller.post(f"analyses/{waiting.pk}/cancel/"), 409, "not_waiting")
    refused(caller.post(f"analyses/{heard.pk}/cancel/"), 409, "not_waiting")
    assert Analysis.objects.claim(16, 10**9) == []


def test_what_belongs_to_another_does_not_exist(caller: Caller, ben: User) -> None:
    row = queued(ben)
    theirs, _ = tokens.create(ben)
    for path in ("clips/", "analyses/"):
        assert caller.ids(path) == []
    for answer in (
        caller.get(f"clips/{row.clip_id}/"),
        caller.delete(f"clips/{row.clip_id}/"),
        caller.post(f"clips/{row.clip_id}/analyses/"),
        caller.get(f"analyses/{row.pk}/"),
        caller.delete(f"analyses/{row.pk}/"),
        caller.post(f"analyses/{row.pk}/cancel/"),
        caller.delete(f"tokens/{theirs.public_id}/"),
    ):
        refused(answer, 404, "not_found")
    assert Analysis.objects.filter(state="queued").count() == 1


# --- keys and duplicates ------------------------------------------------------------------


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
def test_a_key_that_is_no_key_is_refused(caller: Caller, key: str) -> None:
    refused(caller.upload(b"sound", key=key), 400, "invalid")
    assert not Clip.objects.exists()


def test_known_bytes_are_answered_with_the_earlier_result(caller: Caller, ben: User) -> None:
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
def test_bytes_that_were_never_heard_are_not_known(caller: Caller, state: str) -> None:
    caller.upload(b"sound")
    Analysis.objects.update(state=state)
    assert caller.upload(b"sound").status_code == 202


def test_the_pages_keep_taking_what_they_are_given(anna: User) -> None:
    first, second = (uploads.accept([b"x"], name="x", owner=anna) for _ in range(2))
    assert first.pk != second.pk


# --- tokens -------------------------------------------------------------------------------


def test_a_token_is_made_listed_used_and_revoked(caller: Caller) -> None:
    made = caller.post("tokens/", {"name": "garden box", "expires_in_days": 7})
    assert made.status_code == 201
    secret = made.json()["token"]
    listed = caller.get("tokens/")
    assert secret not in listed.content.decode()
    newest, mine = listed.json()["results"]
    assert (newest["name"], newest["last_used_at"]) == ("garden box", None)
    assert mine["last_used_at"]
    days = ApiToken.objects.get(name="garden box").expiry - timezone.now()
    assert timedelta(days=6) < days < timedelta(days=7, minutes=1)
    box = Client(headers={"Authorization": f"Token {secret}"})
    assert box.get("/api/v1/clips/").status_code == 200
    assert caller.delete(f"tokens/{newest['id']}/").status_code == 204
    refused(box.get("/api/v1/clips/"), 401)
    refused(caller.delete(f"tokens/{newest['id']}/"), 404)


def test_the_last_use_is_written_once_a_minute(caller: Caller) -> None:
    caller.get("tokens/")
    used = ApiToken.objects.get().last_used_at
    caller.get("tokens/")
    assert ApiToken.objects.get().last_used_at == used
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    caller.get("tokens/")
    assert ApiToken.objects.get().last_used_at > used


def test_a_token_for_name_and_password(anna: User) -> None:
    def ask(**fields: Any) -> Any:
        body = {"username": "anna", "password": "gr4nular-ear"} | fields
        return Client().post("/api/v1/token/", body, content_type="application/json")

    assert set(ask().json()) == {"token"}
    assert ask(name="laptop", expires_in_days=1).status_code == 200
    assert ApiToken.objects.filter(name="laptop").exists()
    refused(ask(password="no"), 400, "bad_credentials")
    refused(ask(expires_in_days=0), 400, "invalid")
    refused(ask(name="\x00"), 400, "invalid")


# --- fairness, health, description --------------------------------------------------------


@pytest.fixture
def counting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Few requests a minute, all of them in one minute."""
    clock = SimpleNamespace(time=lambda: 1_800_000_010.0, monotonic=time.monotonic)
    monkeypatch.setattr(throttles, "time", clock)
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    caches["default"].clear()
    settings.THROTTLE_RATES = {"reads": "3/min", "uploads": "1/min", "token": "2/min"}
    throttles._asked_again_at = 0.0
    return settings


def test_a_person_who_asks_too_much_is_told_when_to_come_back(
    caller: Caller, ben: User, counting: Settings
) -> None:
    left = [caller.get("clips/")["X-RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    answer = caller.get("clips/")
    refused(answer, 429, "throttled")
    assert 0 < int(answer["Retry-After"]) <= 60
    assert (answer["X-RateLimit-Limit"], answer["X-RateLimit-Remaining"]) == ("3", "0")
    assert 0 < int(answer["X-RateLimit-Reset"]) <= 60
    assert Caller(ben).get("clips/").status_code == 200
    assert caller.upload(b"one").status_code == 202  # uploads are counted on their own
    refused(caller.upload(b"two"), 429, "throttled")


def test_passwords_cannot_be_tried_without_end(anna: User, counting: Settings) -> None:
    for status in (400, 400, 429):
        body = {"username": "anna", "password": "guess"}
        answer = Client().post("/api/v1/token/", body, headers={"X-Forwarded-For": f"{status}"})
        refused(answer, status)


def test_with_the_cache_away_requests_are_not_counted_but_answered(
    caller: Caller, settings: Settings, tmp_path: Path
) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"unix://{tmp_path}/nobody.sock",
        }
    }
    throttles._asked_again_at = 0.0
    for _ in range(2):
        answer = caller.get("clips/")
        assert answer.status_code == 200
        assert "X-RateLimit-Limit" not in answer
    throttles._asked_again_at = 0.0


def test_it_is_alive_without_a_database_and_not_ready_without_a_broker(
    db: None, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        assert Client().get("/healthz").json() == {"status": "alive"}

    def gone(lane: int) -> int:
        raise OperationalError("redis://user:password@somewhere")

    monkeypatch.setattr(health, "_last", None)
    monkeypatch.setattr(health, "queued_messages", gone)
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"]["ok"]
    assert answer.json()["checks"]["broker"] == {"ok": False, "detail": "OperationalError"}
    assert not answer.json()["checks"]["worker"]["ok"]
    monkeypatch.setattr(health, "_last", None)


def test_the_description_is_valid_and_complete(db: None, tmp_path: Path) -> None:
    call_command(
        "spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml")
    )
    described = Client().get("/api/schema/").json()
    assert described["openapi"] == "3.1.0"
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"] and operation["description"], where
            assert all(a["description"] for a in operation["responses"].values()), where
            assert "400" in operation["responses"] and "429" in operation["responses"], where
            for parameter in operation.get("parameters", ()):
                assert parameter["description"], where
    for name, schema in described["components"]["schemas"].items():
        for field, facts in schema.get("properties", {}).items():
            assert facts["description"], f"{name}.{field}"
            assert facts["examples"], f"{name}.{field}"


def test_the_documentation_loosens_the_policy_of_no_other_page(anna: User) -> None:
    client = Client()
    client.force_login(anna)
    for path in ("/api/docs/", "/api/docs/redoc/"):
        policy = client.get(path)["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "img-src 'self' data:" in policy
    assert "data:" not in client.get("/account/")["Content-Security-Policy"]


# --- classify, without a worker -----------------------------------------------------------


def test_classify_answers_with_where_to_ask_when_it_takes_too_long(
    caller: Caller, settings: Settings
) -> None:
    settings.CLASSIFY_WAIT_S = 0
    answer = caller.post("classify/", {"audio_data": base64.b64encode(b"sound").decode()})
    assert answer.status_code == 202
    assert answer["Location"] == f"/api/v1/analyses/{answer.json()['analysis']}/"


@pytest.mark.parametrize(("code", "status"), [("damaged", 400), ("crashed", 500)])
def test_classify_tells_bad_sounds_from_our_faults(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    row = queued(
        caller.user, state="failed", error_code=code, error_detail="It broke.", error_hint="Mend."
    )
    monkeypatch.setattr(classify, "_waited_for", lambda pk: row)
    refused(caller.post("classify/", {"audio_data": "c291bmQ="}), status, code)


# --- the account page ---------------------------------------------------------------------


def test_the_account_page_makes_shows_once_and_revokes(anna: User) -> None:
    client = Client()
    client.force_login(anna)
    made = client.post("/account/", {"name": "garden box", "expires_in_days": 7})
    token = ApiToken.objects.get()
    secret = re.search(r"data-secret>([0-9a-f]+)<", made.content.decode())
    assert secret
    assert made["Cache-Control"] == "no-store"
    again = client.get("/account/").content.decode()
    assert secret[1] not in again
    assert "garden box" in again and "/account/password/" in again
    box = Client(headers={"Authorization": f"Token {secret[1]}"})
    assert box.get("/api/v1/clips/").status_code == 200
    assert client.post(f"/account/tokens/{token.public_id}/revoke/").status_code == 302
    assert box.get("/api/v1/clips/").status_code == 401
    assert client.post("/account/", {"expires_in_days": 0}).status_code == 400


def test_nobody_revokes_the_token_of_another(anna: User, ben: User) -> None:
    theirs, _ = tokens.create(ben)
    client = Client()
    client.force_login(anna)
    assert client.post(f"/account/tokens/{theirs.public_id}/revoke/").status_code == 404
    assert ApiToken.objects.count() == 1
