"""Rate limits, health checks and the schema of the API."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.core.cache import caches
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from jsonschema import validate
from kombu.exceptions import OperationalError
from pytest_django import DjangoAssertNumQueries, Settings
from pytest_django.asserts import assertContains

from classifier.monitoring import probes
from classifier.services import rate_limits
from classifier.tests.conftest import Caller, refused
from classifier.views import health


@pytest.fixture
def counting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Allow few requests a minute, and make all of them within one minute."""
    clock = SimpleNamespace(time=lambda: 1_800_000_010.0, monotonic=time.monotonic)
    monkeypatch.setattr(rate_limits, "time", clock)
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    caches["default"].clear()
    settings.THROTTLE_RATES = {"reads": "3/min", "uploads": "1/min", "sign_ins": "2/min"}
    rate_limits._asked_again_at = 0.0
    return settings


def test_a_request_without_the_final_slash_is_not_redirected(caller: Caller) -> None:
    file = SimpleUploadedFile("x.wav", b"sound")
    assert caller.client.post("/api/v1/clips", {"file": file}).status_code == 202
    batch = caller.post("batches", {"name": "trip"})
    assert batch.status_code == 201
    assert caller.post(f"batches/{batch.json()['id']}/close").json()["state"] == "closed"
    assert caller.delete(f"batches/{batch.json()['id']}").status_code == 204
    refused(caller.post("clip"), 404)
    assert caller.get("clips").status_code == 301


def test_a_request_under_a_path_prefix_is_refused(client: Client) -> None:
    for prefix in ({"headers": {"X-Forwarded-Prefix": "/sono"}}, {"SCRIPT_NAME": "/sono"}):
        refused(client.get("/api/v1/clips/", **prefix), 400, "path_prefix")
    assert client.get("/healthz", headers={"X-Forwarded-Prefix": "/"}).status_code == 200


def test_rate_limited_requests_say_when_to_retry(
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


def test_batch_files_do_not_count_as_uploads_but_a_retry_does(
    caller: Caller, counting: Settings
) -> None:
    counting.THROTTLE_RATES = {"reads": "6/min", "uploads": "1/min", "sign_ins": "2/min"}
    batch = caller.post("batches/", {"name": "trip"})
    assert batch["X-RateLimit-Remaining"] == "5"
    address = f"batches/{batch.json()['id']}/"
    sent = [caller.send(address, str(number), b"%d" % number) for number in range(4)]
    assert [answer.status_code for answer in sent] == [202] * 4
    assert [answer["X-RateLimit-Remaining"] for answer in sent] == ["4", "3", "2", "1"]
    sheet = caller.get(f"{address}results.csv")
    assert (sheet["X-RateLimit-Limit"], sheet["X-RateLimit-Remaining"]) == ("6", "0")
    refused(caller.send(address, "5", b"5"), 429, "throttled")
    refused(caller.get(f"{address}results.csv"), 429, "throttled")
    assert caller.post(f"{address}retry/")["X-RateLimit-Limit"] == "1"
    refused(caller.post(f"{address}retry/"), 429, "throttled")


def test_sign_in_attempts_are_limited(anna: User, counting: Settings) -> None:
    for status in (400, 400, 429):
        body = {"username": "anna", "password": "guess"}
        answer = Client().post(
            "/api/v1/token/", body, "application/json", headers={"X-Forwarded-For": f"{status}"}
        )
        refused(answer, status)


def test_without_the_cache_requests_are_served_but_not_counted(
    caller: Caller, settings: Settings, tmp_path: Path
) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"unix://{tmp_path}/nobody.sock",
        }
    }
    rate_limits._asked_again_at = 0.0
    for _ in range(2):
        answer = caller.get("clips/")
        assert answer.status_code == 200
        assert "X-RateLimit-Limit" not in answer
    rate_limits._asked_again_at = 0.0


def test_it_is_alive_without_a_database_and_not_ready_without_a_broker(
    db: None, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        assert Client().get("/healthz").json() == {"status": "alive"}

    def gone(lane: int) -> int:
        raise OperationalError("redis://user:password@somewhere")

    monkeypatch.setattr(health, "_last", None)
    monkeypatch.setattr(probes, "queued_messages", gone)
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
    batch = "/api/v1/batches/{id}/"
    assert {"get", "delete"} <= set(described["paths"][batch])
    exported = described["paths"][f"{batch}results.csv"]["get"]["responses"]["200"]
    assert list(exported["content"]) == ["text/csv"]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"] and operation["description"], where
            assert all(a["description"] for a in operation["responses"].values()), where
            assert "400" in operation["responses"] and "429" in operation["responses"], where
            for parameter in operation.get("parameters", ()):
                assert parameter["description"], where
                # Swagger UI would send the example as a filter.
                assert "example" not in parameter, where
            # Without an example, Swagger UI invents values from the types.
            for content in documented(operation):
                assert content["examples"], where
    for name, schema in described["components"]["schemas"].items():
        for field, facts in schema.get("properties", {}).items():
            assert facts["description"], f"{name}.{field}"


def documented(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The JSON bodies of an operation's request and successful responses."""
    successes = [body for code, body in operation["responses"].items() if code < "300"]
    for part in (operation.get("requestBody", {}), *successes):
        if "application/json" in part.get("content", {}):
            yield part["content"]["application/json"]


def test_the_examples_are_valid(db: None) -> None:
    described = Client().get("/api/schema/").json()
    checked = 0
    for methods in described["paths"].values():
        for operation in methods.values():
            for content in documented(operation):
                schema = content["schema"] | {"components": described["components"]}
                for example in content["examples"].values():
                    validate(example["value"], schema)
                    checked += 1
    assert checked >= 30


def test_a_body_is_json_unless_it_carries_a_file(caller: Caller) -> None:
    described = Client().get("/api/schema/").json()
    bodies = {
        (path, *operation["requestBody"]["content"])
        for path, methods in described["paths"].items()
        for operation in methods.values()
        if "requestBody" in operation
    }
    files = {path for path, kind in bodies if kind == "multipart/form-data"}
    assert files == {"/api/v1/clips/", "/api/v1/batches/{id}/files/"}
    assert {kind for _, kind in bodies} == {"multipart/form-data", "application/json"}
    form = Client().post("/api/v1/token/", {"username": "anna", "password": "x"})
    refused(form, 415, "unsupported_media_type")
    assert "application/json" in form.json()["hint"]
    plain = caller.post("clips/", {"file": "x"})
    refused(plain, 415, "unsupported_media_type")
    assert "multipart/form-data" in plain.json()["hint"]


def test_the_reference_page_loads_swagger_ui_from_our_own_files(db: None) -> None:
    page = Client().get("/api/docs/")
    assert re.findall(r'(?:src|href)="(?:https?:)?//[^"]*"', page.content.decode()) == []
    assertContains(page, "drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle")
    policy = page.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "img-src 'self' data:" in policy
    assert "data:" not in Client().get("/account/sign-in/").headers["Content-Security-Policy"]


def test_the_schema_is_the_same_as_yaml(db: None) -> None:
    as_yaml = yaml.safe_load(Client().get("/api/schema.yaml").content)
    assert as_yaml == Client().get("/api/schema/").json()
