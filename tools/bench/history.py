"""Measure the filters of the history with many analyses: `python -m tools.bench.history`.

Two users have 2,000 and 200,000 analyses in one database, a temporary SQLite file. Each filter is
requested with a value that many rows have, with one that only the ten oldest rows have, and with
one that none has. Prints the number of queries, the shortest time in ms, made in this process
without a network, and their ratio. `--server postgres://…` uses a new database on that server and
drops it afterwards.
"""

import argparse
import os
import tempfile
import time
from typing import Any

import django

from tests.server import create_database, drop_database

ROWS = (2_000, 200_000)
RARE_ROWS = 10
SORTS = ("oldest", "name", "confidence", "least_confident", "length")
CASES = {
    "no filter": "",
    "page 20": "page=20",
    **{f"sort by {name}": f"sort={name}" for name in SORTS},
    "name, many": "name=recording",
    "name, rare": "name=rare",
    "name, none": "name=nothing-like-it",
    "label, many": "label=rain",
    "label, rare": "label=rare",
    "label, none": "label=nothing",
    "confidence, many": "min_confidence=50",
    "confidence, rare": "max_confidence=0",
    "confidence, none": "min_confidence=100",
    "date, many": "since={first}",
    "date, rare": "until={first}",
    "date, none": "until=2001-01-01",
    "batch, many": "batch={batch}",
    "batch, rare": "batch={rare_batch}",
    "folder, many": "folder=site 3",
    "folder, rare": "folder=rare",
    "folder, none": "folder=nowhere",
    "length, many": "min_length=5",
    "length, rare": "min_length=1000",
    "length, none": "min_length=9000",
    "state, many": "state=done",
    "state, few": "state=failed",
    "state, none": "state=cancelled",
    "checkpoint, many": "checkpoint=newer@0123456789ab",
    "checkpoint, rare": "checkpoint=rare",
    "checkpoint, none": "checkpoint=nothing",
    "notice, many": "notice=silent",
    "notice, rare": "notice=cut_short",
    "notice, none": "notice=rate_changed",
    "tag, many": "tag=garden",
    "tag, rare": "tag=rare",
    "checked, right": "judged=right",
    "checked, wrong": "judged=wrong",
    "checked, any": "judged=judged",
    "not checked": "judged=not_judged",
    "label and confidence, many": "label=rain&min_confidence=50",
    "label and confidence, none": "label=rain&min_confidence=100",
    "label and date, many": "label=rain&since={first}",
    "label and date, none": "label=rain&until=2001-01-01",
}


def fill(rows: int) -> Any:
    """Create a user with analyses, and return the user."""
    from django.contrib.auth.models import User

    from classifier.models import Analysis, Batch, BatchFile, Clip, Tag, tag_words
    from classifier.services.batches import MAX_FILES
    from tests.bulk_data import create_bulk_data

    user = User.objects.create_user(f"user{rows}")
    create_bulk_data(user, [user], rows, MAX_FILES)
    mine = Analysis.objects.filter(owner=user)
    oldest = list(mine.order_by("created_at").values_list("pk", flat=True)[:RARE_ROWS])
    few = Analysis.objects.filter(pk__in=oldest)
    tag = Tag.objects.create(owner=user, name="rare")
    few.update(
        clip_folded_name="rare.wav", label="rare", confidence=0.0, clip_folder="rare/",
        state="done", clip_duration_s=2000.0, checkpoint="rare", clip_notices=" cut_short ",
        clip_tags=tag_words([tag.pk]),
    )  # fmt: skip
    link = Clip.tags.through
    link.objects.bulk_create(
        link(clip_id=pk, tag_id=tag.pk) for pk in few.values_list("clip", flat=True)
    )
    batch = Batch.objects.create(owner=user, name="rare")
    BatchFile.objects.bulk_create(
        BatchFile(batch=batch, path=str(pk), outcome="duplicate", analysis_id=pk) for pk in oldest
    )
    return user


def measure(user: Any, requests: int) -> dict[str, tuple[int, float]]:
    """Return the number of queries and the shortest time in ms of each case."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from classifier.models import Analysis, Batch

    first = Analysis.objects.filter(owner=user).earliest("created_at").created_at
    mine = Batch.objects.filter(owner=user)
    values = {
        "first": f"{first:%Y-%m-%d}",
        "batch": mine.exclude(name="rare").earliest("created_at").pk,
        "rare_batch": mine.get(name="rare").pk,
    }
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    found = {}
    for name, query in CASES.items():
        address = f"/history/?{query.format(**values)}"
        with CaptureQueriesContext(connection) as queries:
            response = client.get(address)
        count = len(queries)
        assert response.status_code == 200, (address, response.status_code)
        times_ms = []
        for _ in range(requests):
            started = time.perf_counter()
            client.get(address)
            times_ms.append(1000 * (time.perf_counter() - started))
        found[name] = count, min(times_ms)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.history", description=__doc__)
    parser.add_argument("--requests", type=int, default=7)
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
            users = [fill(rows) for rows in ROWS]
            if connection.vendor == "postgresql":  # what its autovacuum does a little later
                with connection.cursor() as cursor:
                    cursor.execute("VACUUM ANALYZE")
            few, many = (measure(user, options.requests) for user in users)
        finally:
            connection.close()
            if database_url:
                drop_database(options.server, database_url)
    print(f"{connection.vendor}: shortest of {options.requests} requests in ms")
    print(f"| filter | queries | {ROWS[0]:,} | {ROWS[1]:,} | ratio |\n|---|---|---|---|---|")
    for name, (queries, small) in few.items():
        same = queries if queries == many[name][0] else f"{queries} → {many[name][0]}"
        large = many[name][1]
        print(f"| {name} | {same} | {small:.1f} | {large:.1f} | {large / small:.1f} |")


if __name__ == "__main__":
    main()
