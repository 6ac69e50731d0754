"""Pages over a large table: `python -m bench.scale` (200,000 analyses in a throw-away SQLite).

Prints, for each page, the queries it asks and the median time of five requests to the
application itself, in this process, without network.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from datetime import timedelta

import django

USERS = 50
BATCH_ROWS = 5_000
LABELS = ("dog", "rain", "crickets", "church_bells", "siren", "wind", "clock_tick", "sea_waves")


def fill(count: int) -> None:
    from django.contrib.auth.models import User
    from django.utils import timezone

    from classifier.models import Analysis, Clip, Lane, State

    dice = random.Random(1)
    users = User.objects.bulk_create([User(username=f"user{n}") for n in range(USERS)])
    User.objects.create_superuser("admin", password="admin")
    now = timezone.now()
    predictions = [{"class": f"class {n}", "confidence": 1 / 50} for n in range(50)]
    for first in range(0, count, BATCH_ROWS):
        clips, analyses = [], []
        for number in range(first, min(first + BATCH_ROWS, count)):
            created = now - timedelta(seconds=90 * (count - number))
            owner = users[number % USERS]
            clips.append(
                Clip(
                    owner=owner,
                    name=f"recording-{number}.wav",
                    file_key=f"{number:032x}",
                    size_bytes=441_044,
                    sha256=f"{dice.getrandbits(256):064x}",
                    created_at=created,
                    format="WAV",
                    duration_s=5.0,
                )
            )
            failed = dice.random() < 0.02
            analyses.append(
                Analysis(
                    clip=clips[-1],
                    owner=owner,
                    lane=Lane.BULK,
                    created_at=created,
                    started_at=created,
                    finished_at=created + timedelta(seconds=2),
                    state=State.FAILED if failed else State.DONE,
                    token=f"{number:032x}",
                    label="" if failed else dice.choice(LABELS),
                    confidence=None if failed else dice.random(),
                    error_code="damaged" if failed else "",
                    predictions=predictions,
                    checkpoint="esc50@0123456789ab",
                )
            )
        Clip.objects.bulk_create(clips)
        Analysis.objects.bulk_create(analyses)


def measure(addresses: dict[str, str]) -> dict[str, dict[str, float]]:
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get(username="admin"))
    figures = {}
    for name, address in addresses.items():
        times_ms = []
        for _ in range(5):
            started = time.perf_counter()
            with CaptureQueriesContext(connection) as queries:
                answer = client.get(address)
            times_ms.append(1000 * (time.perf_counter() - started))
            assert answer.status_code == 200, (address, answer.status_code)
        figures[name] = {
            "queries": len(queries),
            "median_ms": round(statistics.median(times_ms), 1),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "SONOSCOPE_DATA": folder, "DATABASE_URL": "", "ENV_FILE": os.devnull,
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
        }  # fmt: skip
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        fill(rows)
        listed = "/admin/classifier/analysis/"
        figures = measure(
            {
                "history, nothing in it": "/history/",
                "admin, first page": "/admin/",
                "admin, analyses": listed,
                "admin, analyses, page 100": f"{listed}?p=100",
                "admin, analyses by label": f"{listed}?label=dog",
                "admin, failed analyses": f"{listed}?state__exact=failed",
                "admin, analyses of a day": f"{listed}?created_at__year=2026&created_at__month=11",
                "admin, search by name": f"{listed}?q=recording-1999",
                "admin, search by user": f"{listed}?q=user7",
                "admin, clips": "/admin/classifier/clip/",
            }
        )
    print(json.dumps({"rows": rows, "pages": figures}, indent=2))


if __name__ == "__main__":
    main()
