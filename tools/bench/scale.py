"""Measure pages with 200,000 analyses: `python -m tools.bench.scale`.

Prints, for each page, the number of queries and the median time of five requests, made in this
process without a network. The database is a temporary SQLite file. Half of the rows belong to the
administrator who requests the pages, in batches of the maximum size. `--server postgres://…` uses
a new database on that server and drops it afterwards.
"""

import argparse
import json
import os
import statistics
import tempfile
import time

import django

from tests.server import create_database, drop_database

USERS = 50
REQUESTS = 5


def fill(rows: int) -> None:
    from django.contrib.auth.models import User
    from django.db import connection

    from classifier.services.batches import MAX_FILES
    from tests.bulk_data import create_bulk_data

    admin = User.objects.create_superuser("admin", password="admin")
    others = User.objects.bulk_create([User(username=f"user{n}") for n in range(USERS)])
    create_bulk_data(admin, others, rows, MAX_FILES)
    if connection.vendor == "postgresql":  # what its autovacuum does a little later
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def measure() -> dict[str, dict[str, float]]:
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from tests.bulk_data import ANALYSES, pages

    admin, person = User.objects.get(username="admin"), User.objects.get(username="user7")
    client = Client(headers={"host": "localhost"})
    client.force_login(admin)
    deep = {"history, page 100": "/history/?page=100", "admin, page 100": f"{ANALYSES}?p=100"}
    figures = {}
    for name, address in (pages(admin, person) | deep).items():
        times_ms = []
        for _ in range(REQUESTS):
            started = time.perf_counter()
            with CaptureQueriesContext(connection) as queries:
                response = client.get(address)
            times_ms.append(1000 * (time.perf_counter() - started))
            assert response.status_code == 200, (address, response.status_code)
        figures[name] = {
            "queries": len(queries),
            "median_ms": round(statistics.median(times_ms), 1),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.scale", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--server", default="", help="postgres://user:password@host:port/name")
    options = parser.parse_args()
    database_url = create_database(options.server)
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
            fill(options.rows)
            figures = measure()
        finally:
            connection.close()
            if database_url:
                drop_database(options.server, database_url)
        lines = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in figures.items())
    print(f'{{\n  "database": "{connection.vendor}",\n  "rows": {options.rows},\n  "pages": {{')
    print(f"{lines}\n  }}\n}}")


if __name__ == "__main__":
    main()
