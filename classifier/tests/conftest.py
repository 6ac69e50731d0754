import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from classifier.checkpoints import inventory
from classifier.checkpoints.inventory import Installed
from classifier.models import Analysis, Clip, Lane, State
from classifier.services import rate_limits, tokens
from tests.checkpoints import header_only

# A PNG of 4×4 pixels.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000040000000408000000008c9ac1a20000000b49444154789c63"
    "60c00400001400017dfe1eee0000000049454e44ae426082"
)


@pytest.fixture(autouse=True)
def own_media(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    return settings.MEDIA_ROOT


@pytest.fixture(autouse=True)
def fast_passwords(settings: Settings) -> None:
    """Use a fast hash, because the default one is slow on purpose."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def fresh_counters(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make all requests within one minute, with fresh counters."""
    clock = SimpleNamespace(time=lambda: 1_800_000_010.0, monotonic=time.monotonic)
    monkeypatch.setattr(rate_limits, "time", clock)
    monkeypatch.setattr(rate_limits, "_asked_again_at", 0.0)
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.THROTTLE_RATES = {**django_settings.THROTTLE_RATES, "sign_ins": "1000/min"}
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def anna(db: None) -> User:
    return User.objects.create_user("anna", password="gr4nular-ear")


@pytest.fixture
def ben(db: None) -> User:
    return User.objects.create_user("ben", password="gr4nular-ear")


@pytest.fixture
def other(settings: Settings, tmp_path: Path) -> Installed:
    """A second installed checkpoint, called `other`."""
    settings.CHECKPOINTS = tmp_path / "checkpoints"
    header_only(settings.CHECKPOINTS / "other.safetensors", notes=["A second opinion."])
    found = inventory.find("other")
    assert found is not None
    return found


def queued(
    owner: User, lane: Lane = Lane.INTERACTIVE, size_bytes: int = 1000, **values
) -> Analysis:
    """Create a queued analysis without a file."""
    clip = Clip.objects.create(
        owner=owner, name="x.wav", file_key="ab" * 16, size_bytes=size_bytes, sha256="0" * 64
    )
    analysis = Analysis.of(clip, lane=lane, **values)
    analysis.save()
    return analysis


def change_clip(analysis: Analysis, **values: Any) -> Clip:
    """Change the columns of the clip, and the copies that its analysis has of them."""
    Clip.objects.filter(pk=analysis.clip_id).update(**values)
    analysis.clip.refresh_from_db()
    Analysis.objects.filter(clip=analysis.clip).update(**analysis.clip.copied())
    return analysis.clip


def done(owner: User, label: str = "dog", confidence: float = 0.9) -> Analysis:
    predictions = [
        {"class": label, "confidence": confidence},
        {"class": "cat", "confidence": round(1 - confidence, 6)},
    ]
    analysis = queued(
        owner,
        state=State.DONE,
        label=label,
        confidence=confidence,
        predictions=predictions,
        token="t" * 32,
    )
    change_clip(analysis, format="WAV", duration_s=5.0, source_rate_hz=32_000)
    return analysis


class Caller:
    """An API client that signs in with a token of its user."""

    def __init__(self, user: User) -> None:
        self.user = user
        _, self.token = tokens.create(user)
        self.client = Client(headers={"Authorization": f"Token {self.token}"})

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query)

    def post(self, path: str, body: Any = None) -> Any:
        return self.client.post(f"/api/v1/{path}", body or {}, content_type="application/json")

    def patch(self, path: str, body: Any) -> Any:
        return self.client.patch(f"/api/v1/{path}", body, content_type="application/json")

    def delete(self, path: str) -> Any:
        return self.client.delete(f"/api/v1/{path}")

    def upload(self, data: bytes, key: str = "", again: str = "", **fields: str) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        address = f"/api/v1/clips/?again={again}" if again else "/api/v1/clips/"
        file = SimpleUploadedFile("x.wav", data)
        return self.client.post(address, {"file": file, **fields}, headers=headers)

    def send(self, batch: str, path: str, data: bytes) -> Any:
        """Send a file to a batch, given by its path below /api/v1/."""
        body = {"file": SimpleUploadedFile("x.wav", data), "path": path}
        return self.client.post(f"/api/v1/{batch}files/", body)

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
