from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from classifier.models import Analysis, Clip, Lane, State


@pytest.fixture(autouse=True)
def own_media(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    return settings.MEDIA_ROOT


@pytest.fixture
def anna(db: None) -> User:
    return User.objects.create_user("anna", password="gr4nular-ear")


@pytest.fixture
def ben(db: None) -> User:
    return User.objects.create_user("ben", password="gr4nular-ear")


def queued(
    owner: User, lane: Lane = Lane.INTERACTIVE, size_bytes: int = 1000, **values
) -> Analysis:
    """A waiting analysis whose file is of no interest."""
    clip = Clip.objects.create(
        owner=owner, name="x.wav", file_key="ab" * 16, size_bytes=size_bytes, sha256="0" * 64
    )
    return Analysis.objects.create(clip=clip, owner=owner, lane=lane, **values)


def done(owner: User, label: str = "dog", confidence: float = 0.9) -> Analysis:
    analysis = queued(owner, state=State.DONE, label=label, confidence=confidence, token="t" * 32)
    Clip.objects.filter(pk=analysis.clip_id).update(format="WAV", duration_s=5.0)
    return analysis
