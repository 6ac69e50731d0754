"""Pages and API report that no worker answers."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError
from pytest_django.asserts import assertContains, assertNotContains

from classifier.models import Analysis, Batch, State, Step
from classifier.services import batches, dispatch
from classifier.tests.conftest import Caller, queued


class Pinged:
    """A control interface with or without workers that counts its pings."""

    def __init__(self, answers: list[dict] | None) -> None:
        self.answers, self.times = answers, 0

    def ping(self, **_: object) -> list[dict]:
        self.times += 1
        if self.answers is None:
            raise OperationalError
        return self.answers


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pinged]:
    control = Pinged([])
    monkeypatch.setattr(dispatch.sender, "control", control)
    dispatch._worker_answers.cache_clear()
    yield control
    dispatch._worker_answers.cache_clear()


def waiting(owner: User, seconds: float = 60) -> Analysis:
    return queued(owner, created_at=timezone.now() - timedelta(seconds=seconds))


def test_the_api_reports_missing_workers_and_rarely_pings(
    caller: Caller, no_worker: Pinged
) -> None:
    row = waiting(caller.user)
    for _ in range(3):
        notice = caller.get(f"analyses/{row.pk}/").json()["notice"]
        assert notice["code"] == "no_worker"
        assert "make run" in notice["hint"]
    assert no_worker.times <= 2
    no_worker.answers = None
    dispatch._worker_answers.cache_clear()
    assert caller.get(f"analyses/{row.pk}/").json()["notice"]


def test_there_is_no_notice_without_a_reason(caller: Caller, no_worker: Pinged) -> None:
    def notice(row: Analysis) -> object:
        return caller.get(f"analyses/{row.pk}/").json()["notice"]

    assert notice(waiting(caller.user, seconds=1)) is None
    row = waiting(caller.user)
    Analysis.objects.filter(pk=row.pk).update(state=State.DONE)
    assert notice(row) is None
    Analysis.objects.filter(pk=row.pk).update(
        state=State.RUNNING,
        step=Step.DECODING,
        leased_until=timezone.now() + timedelta(seconds=9),
    )
    assert notice(waiting(caller.user)) is None
    Analysis.objects.update(leased_until=timezone.now() - timedelta(seconds=9))
    assert notice(row)
    no_worker.answers = [{"worker": {}}]
    dispatch._worker_answers.cache_clear()
    assert notice(row) is None


def test_pages_show_the_notice_once_and_remove_it(anna: User, no_worker: Pinged) -> None:
    visitor = Client()
    visitor.force_login(anna)
    batch = batches.create(anna, "trip")
    file = batches.add_file(batch, "1.wav", [b"1"])
    for model in (Analysis, Batch):
        model._default_manager.update(created_at=timezone.now() - timedelta(minutes=1))
    for address, seen in (
        (f"/batches/{batch.pk}/", "1.0.0.1.0.0.0.0.1.0"),
        (f"/analyses/{file.analysis_id}/", "queued..3s"),
    ):
        no_worker.answers = []
        dispatch._worker_answers.cache_clear()
        assertContains(visitor.get(address), "No worker is responding")
        assertContains(visitor.get(f"{address}part/?seen={seen}"), "No worker is responding")
        assert visitor.get(f"{address}part/?seen={seen}.no_worker").status_code == 204
        no_worker.answers = [{"worker": {}}]
        dispatch._worker_answers.cache_clear()
        assertNotContains(visitor.get(f"{address}part/?seen={seen}.no_worker"), "No worker")
