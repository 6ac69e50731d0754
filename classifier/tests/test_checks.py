"""The rules of `manage.py doctor`, each with the problem it detects."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from classifier.models import Inspection, State
from classifier.monitoring import checks, precision
from classifier.tests.conftest import done, queued
from tests.checkpoints import header_only


def test_a_missing_or_damaged_checkpoint_is_wrong(settings: Settings, tmp_path: Path) -> None:
    shipped = Path(settings.CHECKPOINT)
    also = "also installed: esc50-folds123.safetensors"
    assert checks.checkpoint() == checks.ok(f"{shipped.name}: 50 classes; {also}")
    settings.CHECKPOINT = tmp_path / "weights.safetensors"
    assert "No such file" in checks.checkpoint().seen
    whole = shipped.read_bytes()
    no_tensors = b"\x02" + b"\0" * 7 + b"{}"
    for broken in (b"", b"short", b"\xff" * 100, whole[:-1], whole[:5000], no_tensors):
        settings.CHECKPOINT.write_bytes(broken)
        assert checks.checkpoint().verdict == "wrong", broken[:20]
        assert "not a readable checkpoint" in checks.checkpoint().seen


def test_a_bad_file_beside_the_default_is_a_warning(settings: Settings, tmp_path: Path) -> None:
    settings.CHECKPOINTS = tmp_path
    header_only(tmp_path / "other.safetensors")
    assert checks.checkpoint().verdict == "ok"
    assert "other.safetensors" in checks.checkpoint().seen
    twin = header_only(tmp_path / Path(settings.CHECKPOINT).name)
    assert checks.checkpoint().verdict == "warning"
    assert f"{twin}: it has the same name as {settings.CHECKPOINT}" in checks.checkpoint().seen
    twin.write_bytes(b"half a file")
    twin.rename(tmp_path / "cut.safetensors")
    assert checks.checkpoint().verdict == "warning"
    assert "cut.safetensors is not a readable checkpoint" in checks.checkpoint().seen
    assert checks.checkpoint().hint


def test_inference_at_modal_needs_a_token(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MODAL_CONFIG_PATH", str(tmp_path / "modal.toml"))
    assert checks.inference().verdict == "ok"
    settings.INFERENCE = "modal"
    assert checks.inference().verdict == "wrong"
    (tmp_path / "modal.toml").write_text("[default]\n")
    assert checks.inference().verdict == "ok"
    (tmp_path / "modal.toml").unlink()
    monkeypatch.setenv("MODAL_TOKEN_ID", "ak-1")
    assert checks.inference().verdict == "wrong"
    monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-1")
    assert checks.inference().verdict == "ok"


def test_an_unreadable_count_is_reported(settings: Settings) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:9/0",
        }
    }
    precision.count_recomputed(2)  # a failed count must not fail the analysis
    assert checks.precision().verdict == "warning"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    assert checks.precision() == checks.ok("0 windows recomputed in fp32 in the last 7 days")


def test_the_file_system_of_a_path_is_read_from_the_mounts(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda1 / ext4 rw 0 0\nserver:/export /srv/my\\040data nfs4 rw 0 0\n"
        "/dev/sdb1 /srv/my\\040data/fast xfs rw 0 0\n"
    )
    for place, kind in (("/srv", "ext4"), ("/srv/my data/x", "nfs4"), ("/srv/my data/fast", "xfs")):
        assert checks.file_system_of(Path(place), mounts) == kind
    assert checks.file_system_of(Path("/srv"), tmp_path / "none") == ""


def test_a_secret_key_that_others_can_access_is_wrong(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    settings.SECRET_KEY_FILE = tmp_path / "key"
    assert checks.secret_key().verdict == "wrong"
    settings.SECRET_KEY_FILE.write_text("x")
    settings.SECRET_KEY_FILE.chmod(0o644)
    assert checks.secret_key().hint == f"Run chmod 600 {settings.SECRET_KEY_FILE}"
    settings.SECRET_KEY_FILE.chmod(0o600)
    assert checks.secret_key().verdict == "ok"
    mounted = tmp_path / "mounted"
    mounted.write_text("x")
    mounted.chmod(0o444)
    monkeypatch.setenv("SECRET_KEY_FILE", str(mounted))
    assert checks.secret_key().verdict == "ok"
    mounted.chmod(0o666)
    assert checks.secret_key().verdict == "wrong"


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("http://localhost:8000", "ok"),
        ("https://sounds.example.org", "ok"),
        ("http://sounds.example.org", "warning"),
        ("https://elsewhere.example.org", "wrong"),
    ],
)
def test_an_unsuitable_origin_is_reported(settings: Settings, address: str, verdict: str) -> None:
    settings.ALLOWED_HOSTS = ["localhost", "sounds.example.org"]
    settings.ORIGIN = address
    assert checks.origin().verdict == verdict


def test_a_sweep_that_did_not_run_recently_is_wrong(settings: Settings, tmp_path: Path) -> None:
    settings.SWEEP_MARK = tmp_path / "mark"
    assert checks.sweep().verdict == "wrong"
    settings.SWEEP_MARK.touch()
    assert checks.sweep().verdict == "ok"
    long_ago = time.time() - 600
    os.utime(settings.SWEEP_MARK, (long_ago, long_ago))
    assert checks.sweep().verdict == "wrong"


def test_stuck_analyses_are_reported(anna: User) -> None:
    assert checks.queue() == checks.ok("nothing is waiting")
    waiting = queued(anna)
    assert checks.queue().verdict == "ok"
    long_ago = timezone.now() - timedelta(hours=1)
    waiting.created_at = long_ago
    waiting.save()
    assert "nothing is running" in checks.queue().seen
    held = queued(anna, state=State.RUNNING, leased_until=timezone.now())
    assert checks.queue().verdict == "ok"
    held.leased_until = long_ago
    held.save()
    assert "have expired" in checks.queue().seen


def test_stuck_inspections_are_reported(anna: User) -> None:
    analysis, long_ago = done(anna), timezone.now() - timedelta(hours=1)
    inspection = Inspection.objects.create(analysis=analysis, kind="window", window=1)
    assert "the oldest waiting inspection" in checks.queue().seen
    rows = Inspection.objects.filter(pk=inspection.pk)
    rows.update(created_at=long_ago)
    assert "nothing is running" in checks.queue().seen
    rows.update(state="running", leased_until=long_ago)
    assert checks.queue().seen == "the leases of some inspections have expired"


def test_a_nearly_full_disk_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.disk().verdict in ("ok", "warning")
    monkeypatch.setattr(checks, "MIN_FREE_BYTES", 10**18)
    assert checks.disk().verdict == "wrong"


def test_the_clock_is_compared_with_the_database(db: None) -> None:
    assert checks.clock().verdict == "ok"


def test_an_smtp_server_that_does_not_answer_is_wrong(settings: Settings) -> None:
    assert "not set up" in checks.email().seen
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    found = checks.email()
    assert found.verdict == "wrong" and "127.0.0.1:9" in found.seen and "EMAIL_" in found.hint
