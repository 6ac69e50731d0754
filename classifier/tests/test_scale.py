"""Pages, lists and admin make the same number of queries for 4,000 rows as for 480.

`python -m tools.bench.scale` measures the same pages with 200,000 rows.
"""

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from classifier.models import Analysis, ApiToken, Batch, BatchFile, Clip, FileOutcome, State
from classifier.services import batches, dispatch
from classifier.services.batches import MAX_FILES
from tests.bulk_data import ANALYSES, INSPECTIONS, create_bulk_data, pages

LISTS = (f"{ANALYSES}?", INSPECTIONS, "/history/", "/api/v1/analyses/", "/api/v1/clips/")


@pytest.fixture
def superuser(admin_user: User) -> User:
    """A superuser who owns half of the rows."""
    return admin_user


def asked(client: Client, address: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
    assert answer.status_code == 200, address
    return [query["sql"] for query in queries]


def test_the_number_of_queries_does_not_grow_with_the_rows(
    superuser: User, anna: User, ben: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_worker_answers", lambda tick: True)
    client.force_login(superuser)
    create_bulk_data(superuser, [anna, ben], 480, MAX_FILES)
    ContentType.objects.get_for_models(Analysis, Batch, Clip, User)  # cached after one look-up
    few = counts(client, pages(superuser, anna))
    create_bulk_data(superuser, [anna, ben], 4_000, MAX_FILES)
    ApiToken.objects.bulk_create(
        ApiToken(user=superuser, digest=f"{n}", token_key="x", expiry=None) for n in range(1000)
    )
    assert counts(client, pages(superuser, anna)) == few
    assert max(few.values()) <= 15
    assert max(count for page, count in few.items() if page.startswith("API")) <= 8


def counts(client: Client, addresses: dict[str, str]) -> dict[str, int]:
    # The first visit of a result requests its explanation.
    client.get(addresses["result"])
    return {page: len(asked(client, address)) for page, address in addresses.items()}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads the plans of SQLite")
def test_no_page_scans_a_table_or_sorts_a_list(
    superuser: User, anna: User, ben: User, client: Client
) -> None:
    client.force_login(superuser)
    create_bulk_data(superuser, [anna, ben], 240, MAX_FILES)
    for page, address in pages(superuser, anna).items():
        # All of the few rows that are judged are read and sorted, and so are the files of a batch:
        # there are at most MAX_FILES of them.
        sorts = any(name in address for name in ("?q=", "judged=", "?batch="))
        listed = address.startswith(LISTS) and not sorts
        for sql in asked(client, address):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                steps = [row[3] for row in cursor.fetchall()]
            sort = "USE TEMP B-TREE FOR ORDER BY" in steps
            for step in steps:
                if step.startswith("SCAN classifier_") and "USING" not in step:
                    # A scan is fine from the newest row backwards to the end of the page.
                    assert "LIMIT" in sql and not sort, (page, sql, steps)
            assert not (listed and "LIMIT" in sql and sort), (page, sql, steps)


def test_totals_of_batches_match_their_files(superuser: User, anna: User, ben: User) -> None:
    create_bulk_data(superuser, [anna, ben], 1_000, batch_files=150)
    every = list(Batch.objects.all())
    assert len(every) == 8
    for batch, totals in batches.totals_of(every).items():
        files = BatchFile.objects.filter(batch=batch)
        own = files.filter(outcome=FileOutcome.ACCEPTED)
        assert totals.total == files.count()
        assert totals.refused == files.filter(outcome=FileOutcome.REFUSED).count() > 0
        assert totals.done == own.filter(analysis__state=State.DONE).count() > 0
        assert totals.failed == own.filter(analysis__state=State.FAILED).count()
        assert totals.waiting == own.filter(analysis__state=State.QUEUED).count()
        assert totals.running == totals.cancelled == totals.duplicate == 0
