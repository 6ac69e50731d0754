"""Pages, lists and admin ask the database the same of twenty thousand rows as of a hundred."""

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
def keeper(admin_user: User) -> User:
    """One who may see everything, and to whom half of it belongs."""
    return admin_user


def asked(client: Client, address: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
    assert answer.status_code == 200, address
    return [query["sql"] for query in queries]


def test_every_page_asks_the_same_of_twenty_thousand_rows_as_of_a_hundred(
    keeper: User, anna: User, ben: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_worker_answers", lambda tick: True)
    client.force_login(keeper)
    create_bulk_data(keeper, [anna, ben], 240, MAX_FILES)
    ContentType.objects.get_for_models(Analysis, Batch, Clip, User)  # what is looked up once
    few = counts(client, pages(keeper, anna))
    create_bulk_data(keeper, [anna, ben], 20_000, MAX_FILES)
    ApiToken.objects.bulk_create(
        ApiToken(user=keeper, digest=f"{n}", token_key="x", expiry=None) for n in range(1000)
    )
    assert counts(client, pages(keeper, anna)) == few
    assert max(few.values()) <= 14
    assert max(count for page, count in few.items() if page.startswith("API")) <= 5


def counts(client: Client, addresses: dict[str, str]) -> dict[str, int]:
    return {page: len(asked(client, address)) for page, address in addresses.items()}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads the plans of SQLite")
def test_no_page_walks_through_a_table_and_no_list_is_sorted(
    keeper: User, anna: User, ben: User, client: Client
) -> None:
    client.force_login(keeper)
    create_bulk_data(keeper, [anna, ben], 240, MAX_FILES)
    for page, address in pages(keeper, anna).items():
        listed = "?q=" not in address and address.startswith(LISTS)
        for sql in asked(client, address):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                steps = [row[3] for row in cursor.fetchall()]
            sort = "USE TEMP B-TREE FOR ORDER BY" in steps
            for step in steps:
                if step.startswith("SCAN classifier_") and "USING" not in step:
                    # From the latest row of all backwards, no further than the page.
                    assert "LIMIT" in sql and not sort, (page, sql, steps)
            assert not (listed and "LIMIT" in sql and sort), (page, sql, steps)


def test_totals_of_batches_are_what_their_files_say(keeper: User, anna: User, ben: User) -> None:
    create_bulk_data(keeper, [anna, ben], 1_000, batch_files=150)
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
