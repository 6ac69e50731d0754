"""REST: fairness, health, its own description."""

import re
import shlex
import time
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.core.cache import caches
from django.core.management import call_command
from django.test import Client
from django.urls import resolve
from kombu.exceptions import OperationalError
from pytest_django import DjangoAssertNumQueries, Settings

from classifier.monitoring import probes
from classifier.services import rate_limits
from classifier.tests.conftest import Caller, refused
from classifier.views import health


@pytest.fixture
def counting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Few requests a minute, all of them in one minute."""
    clock = SimpleNamespace(time=lambda: 1_800_000_010.0, monotonic=time.monotonic)
    monkeypatch.setattr(rate_limits, "time", clock)
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    caches["default"].clear()
    settings.THROTTLE_RATES = {"reads": "3/min", "uploads": "1/min", "sign_ins": "2/min"}
    rate_limits._asked_again_at = 0.0
    return settings


def test_a_person_who_asks_too_much_is_reported_when_to_come_back(
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


def test_the_files_of_a_batch_are_no_uploads_but_a_retry_is(
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
                assert "example" in parameter or parameter["in"] == "header", where
    for name, schema in described["components"]["schemas"].items():
        for field, facts in schema.get("properties", {}).items():
            assert facts["description"], f"{name}.{field}"
            assert facts["examples"], f"{name}.{field}"


def test_the_page_of_the_api_tells_all_that_the_schema_does(db: None) -> None:
    described = Client().get("/api/schema/").json()
    answer = Client().get("/api/docs/")
    page = unescape(answer.content.decode())
    articles = dict(re.findall(r'<article [^>]*id="(\w+)"(.*?)</article>', page, re.DOTALL))
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            payload = articles[operation["operationId"]]
            assert f">{method.upper()}</span> <span>{path}<" in payload
            names = {operation["summary"], *operation["responses"]}
            names |= {one["name"] for one in operation.get("parameters", ())}
            for content in operation.get("requestBody", {}).get("content", {}).values():
                names |= set(shape_of(described, content["schema"])["properties"])
            for response in operation["responses"].values():
                names |= set(response.get("headers", {})) - {"Retry-After"}
            assert [name for name in names if f">{name}<" not in payload] == []
    answered = {
        name: facts
        for name, facts in described["components"]["schemas"].items()
        if "properties" in facts and not name.endswith("Request")
    }
    for name, facts in answered.items():
        payload = articles[name]
        assert [field for field in facts["properties"] if f">{field}<" not in payload] == []
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert len(answer.content) < 400_000


def shape_of(described: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]


def test_every_command_on_the_page_of_the_api_goes_somewhere(db: None, settings: Settings) -> None:
    page = Client().get("/api/docs/").content.decode()
    described = Client().get("/api/schema/").json()
    commands = re.findall(r"<code>(curl .*?)</code>", page, re.DOTALL)
    asked = set()
    for command in commands:
        words = shlex.split(unescape(command).replace("\\\n", ""))
        (url,) = (word for word in words if word.startswith(settings.ORIGIN))
        plain = "POST" if {"-d", "-F"} & set(words) else "GET"
        method = words[words.index("-X") + 1] if "-X" in words else plain
        found = resolve(url.removeprefix(settings.ORIGIN))
        asked.add((method.lower(), "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", found.route)))
    ids = {path.replace("{id}", "{pk}") for path in described["paths"]}
    assert {path for _, path in asked} == ids
    assert len(commands) == len(asked) == sum(len(one) for one in described["paths"].values())


def test_the_old_addresses_of_the_documentation_lead_to_the_page(db: None) -> None:
    assert Client().get("/api/docs/redoc/")["Location"] == "/api/docs/"
    as_yaml = yaml.safe_load(Client().get("/api/schema.yaml").content)
    assert as_yaml == Client().get("/api/schema/").json()
