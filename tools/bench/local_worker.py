"""A worker in this process, with its own data folder and without a broker, for benchmarks."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import django

from training.config import esc50_dir


@contextmanager
def local_worker() -> Iterator[Any]:
    """Prepare a new database; yield the user who submits clips."""
    with tempfile.TemporaryDirectory() as data:
        os.environ |= {"SONOSCOPE_DATA": data, "DJANGO_SETTINGS_MODULE": "webapp.settings"}
        django.setup()
        logging.disable(logging.INFO)
        from django.contrib.auth.models import User
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        uploads, tasks = "classifier.services.uploads", "tasks.analyse"
        with patch(f"{uploads}.dispatch_analysis"), patch(f"{tasks}.dispatch_analysis"):
            yield User.objects.create_superuser("bench")


def submit(owner: Any, contents: bytes, *, bulk: bool = True) -> None:
    """Store a clip, as an upload does after its checks."""
    from classifier.models import Lane
    from classifier.services import uploads

    lane = Lane.BULK if bulk else Lane.INTERACTIVE
    uploads.accept([contents], name="clip", owner=owner, lane=lane)


def analyse_all() -> None:
    """Analyse chunk after chunk, until nothing is queued; fail if an analysis did."""
    from classifier.models import Analysis, State
    from tasks.analyse import analyse

    while Analysis.objects.waiting().exists():
        analyse("")
    assert not Analysis.objects.exclude(state=State.DONE).exists()


def real_clips(count: int) -> list[bytes]:
    """Return the files of clips of ESC-50."""
    esc50 = esc50_dir()
    if esc50 is None:
        raise SystemExit("Set ESC50_DIR to a folder with audio/ and meta/esc50.csv.")
    paths: list[Path] = sorted((esc50 / "audio").iterdir())[:count]
    return [path.read_bytes() for path in paths]
