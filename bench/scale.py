"""Pages over a large table: `python -m bench.scale` (200,000 analyses in a throw-away SQLite).

Prints, for each page, the queries it asks and the median time of five requests to the
application itself, in this process, without network. Half of the rows belong to the admin who
looks, in batches as large as a batch may be: nobody is heavier. `--server postgres://…` measures
in a database of its own on that server, which is dropped afterwards.
"""

import argparse
import json
import os
import statistics
import tempfile
import time

import django

from tests.house import drop_database, own_database

USERS = 50
REQUESTS = 5


def fill(rows: int) -> None:
    from django.contrib.auth.models import User
    from django.db import connection

    from classifier.batches import MOST_FILES
    from tests.crowd import settle_in

    admin = User.objects.create_superuser("admin", password="admin")
    others = User.objects.bulk_create([User(username=f"user{n}") for n in range(USERS)])
    settle_in(admin, others, rows, MOST_FILES)
    if connection.vendor == "postgresql":  # what its autovacuum does a little later
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def addresses() -> dict[str, str]:
    from django.contrib.auth.models import User

    from classifier.models import Analysis, Batch, Clip

    admin, person = User.objects.get(username="admin"), User.objects.get(username="user7")
    heard = Analysis.objects.filter(owner=admin, state="done").latest("created_at")
    clip, batch = Clip.objects.latest("created_at"), Batch.objects.filter(owner=admin).first()
    assert batch
    day = heard.created_at.strftime("created_at__year=%Y&created_at__month=%-m&created_at__day=%-d")
    listed = "/admin/classifier/analysis/"
    return {
        "history": "/history/",
        "history, page 100": "/history/?page=100",
        "history by label": "/history/?label=dog",
        "history by name": "/history/?name=recording-1999",
        "result": f"/analyses/{heard.pk}/",
        "batches": "/batches/",
        "batch": f"/batches/{batch.pk}/",
        "batch, failed files": f"/batches/{batch.pk}/?show=failed",
        "API, analyses": "/api/v1/analyses/?limit=200",
        "API, analyses by label": "/api/v1/analyses/?label=dog",
        "API, clips": "/api/v1/clips/?limit=200",
        "API, batches": "/api/v1/batches/",
        "API, checkpoints": "/api/v1/checkpoints/",
        "admin, first page": "/admin/",
        "admin, analyses": listed,
        "admin, analyses, page 100": f"{listed}?p=100",
        "admin, analyses by confidence": f"{listed}?o=3",
        "admin, analyses by label": f"{listed}?label=dog",
        "admin, analyses by old checkpoint": f"{listed}?checkpoint=older@0123456789ab",
        "admin, failed analyses": f"{listed}?state__exact=failed",
        "admin, failures of a kind": f"{listed}?error_code=damaged",
        "admin, waiting in a lane": f"{listed}?waiting=0",
        "admin, done analyses": f"{listed}?state__exact=done",
        "admin, analyses of a day": f"{listed}?{day}",
        "admin, analyses of a label and day": f"{listed}?{day}&label=dog",
        "admin, search by name": f"{listed}?q=recording-1999",
        "admin, search that finds nothing": f"{listed}?q=nothing-like-it",
        "admin, search by hash": f"{listed}?q={clip.sha256[:12]}",
        "admin, search by user": f"{listed}?q=user7",
        "admin, search by the heaviest user": f"{listed}?q=admin",
        "admin, one analysis": f"{listed}{heard.pk}/change/",
        "admin, clips": "/admin/classifier/clip/",
        "admin, clips by name": "/admin/classifier/clip/?q=recording-1999",
        "admin, batches": "/admin/classifier/batch/",
        "admin, one batch": f"/admin/classifier/batch/{batch.pk}/change/",
        "admin, deleting a batch": f"/admin/classifier/batch/{batch.pk}/delete/",
        "admin, batch files": "/admin/classifier/batchfile/",
        "admin, refused batch files": "/admin/classifier/batchfile/?outcome__exact=refused",
        "admin, files of a batch": f"/admin/classifier/batchfile/?batch={batch.pk}",
        "admin, users": "/admin/auth/user/",
        "admin, one user": f"/admin/auth/user/{person.pk}/change/",
        "admin, the heaviest user": f"/admin/auth/user/{admin.pk}/change/",
        "admin, deleting the heaviest user": f"/admin/auth/user/{admin.pk}/delete/",
    }


def measure(pages: dict[str, str]) -> dict[str, dict[str, float]]:
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get(username="admin"))
    figures = {}
    for name, address in pages.items():
        times_ms = []
        for _ in range(REQUESTS):
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
    parser.add_argument("--server", default="", help="postgres://user:password@host:port/name")
    asked = parser.parse_args()
    database_url = own_database(asked.server)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "SONOSCOPE_DATA": folder, "DATABASE_URL": database_url, "ENV_FILE": os.devnull,
            "READS_PER_MINUTE": "1000000", "DJANGO_SETTINGS_MODULE": "webapp.settings",
        }  # fmt: skip
        django.setup()
        from django.core.management import call_command
        from django.db import connection

        try:
            call_command("migrate", verbosity=0)
            call_command("collectstatic", verbosity=0, interactive=False)
            fill(asked.rows)
            figures = measure(addresses())
        finally:
            connection.close()
            if database_url:
                drop_database(asked.server, database_url)
        lines = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in figures.items())
    print(f'{{\n  "database": "{connection.vendor}",\n  "rows": {asked.rows},\n  "pages": {{')
    print(f"{lines}\n  }}\n}}")


if __name__ == "__main__":
    main()
