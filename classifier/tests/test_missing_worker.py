"""When no worker answers, whoever waits is told so."""

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
    """A broker with or without a worker behind it, which counts how often it is asked."""

    def __init__(self, answers: list[dict] | None) -> None:
        self.answers, self.times = answers, 0

    def ping(self, **_: object) -> list[dict]:
        self.times += 1
        if self.answers is None:
            raise OperationalError
        return self.answers


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pinged]:
    control = Pinged([])
    monkeypatch.setattr(dispatch.sender, "control", control)
    dispatch._worker_answers.cache_clear()
    yield control
    dispatch._worker_answers.cache_clear()


def waiting(owner: User, seconds: float = 60) -> Analysis:
    return queued(owner, created_at=timezone.now() - timedelta(seconds=seconds))


def test_the_api_says_so_and_asks_the_workers_seldom(caller: Caller, nobody: Pinged) -> None:
    row = waiting(caller.user)
    for _ in range(3):
        notice = caller.get(f"analyses/{row.pk}/").json()["notice"]
        assert notice["code"] == "no_worker"
        assert "make run" in notice["hint"]
    assert nobody.times <= 2
    nobody.answers = None
    dispatch._worker_answers.cache_clear()
    assert caller.get(f"analyses/{row.pk}/").json()["notice"]


def test_it_says_nothing_while_there_is_no_reason_to(caller: Caller, nobody: Pinged) -> None:
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
    nobody.answers = [{"worker": {}}]
    dispatch._worker_answers.cache_clear()
    assert notice(row) is None


def test_the_pages_say_so_once_and_take_it_back(anna: User, nobody: Pinged) -> None:
    visitor = Client()
    visitor.force_login(anna)
    batch = batches.create(anna, "trip")
    file = batches.add_file(batch, "1.wav", [b"1"])
    for model in (Analysis, Batch):
        model._default_manager.update(created_at=timezone.now() - timedelta(minutes=1))
    for address, seen in (
        (f"/batches/{batch.pk}/", "1.0.0.1.0.0.0.0.1.0"),
        (f"/analyses/{file.analysis_id}/", "queued."),
    ):
        nobody.answers = []
        dispatch._worker_answers.cache_clear()
        assertContains(visitor.get(address), "No worker answers")
        assertContains(visitor.get(f"{address}part/?seen={seen}"), "No worker answers")
        assert visitor.get(f"{address}part/?seen={seen}.no_worker").status_code == 204
        nobody.answers = [{"worker": {}}]
        dispatch._worker_answers.cache_clear()
        assertNotContains(visitor.get(f"{address}part/?seen={seen}.no_worker"), "No worker")
