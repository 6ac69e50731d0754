"""Notices about finished batches on the pages, until they are seen."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings
from pytest_django.asserts import assertContains, assertNotContains

from classifier.models import Analysis, Batch, BatchMail, State
from classifier.services import batch_notices, batches, deletion, uploads

HEADER = 'class="finished"'


@pytest.fixture
def visitor(anna: User) -> Client:
    client = Client()
    client.force_login(anna)
    return client


def closed(owner: User, name: str = "Field trip") -> Batch:
    batch = batches.create(owner, name)
    batches.add_file(batch, "1.wav", [name.encode()])
    batches.add_file(batch, "2.wav", [b""])
    batches.close(batch)
    return batch


def settle(state: State = State.DONE, **values: Any) -> None:
    Analysis.objects.filter(state=State.QUEUED).update(state=state, **values)


def test_a_finished_batch_is_announced_on_every_page_until_it_is_seen(
    visitor: Client, anna: User, ben: User
) -> None:
    batch = closed(anna)
    assert batch_notices.mark_finished() == 0
    assertNotContains(visitor.get("/history/"), HEADER)
    settle()
    assert batch_notices.mark_finished() == 1
    assert batch_notices.mark_finished() == 0
    for page in ("/", "/history/", "/account/"):
        assertContains(visitor.get(page), "1 done, 1 refused")
    other = Client()
    other.force_login(ben)
    assertNotContains(other.get("/history/"), HEADER)
    assertNotContains(visitor.get(f"/batches/{batch.pk}/"), HEADER)
    assertNotContains(visitor.get("/history/"), HEADER)
    assert visitor.get(f"/api/v1/batches/{batch.pk}/").json()["finished_at"]


def test_dismissing_hides_what_the_page_showed(visitor: Client, anna: User) -> None:
    closed(anna, "first")
    settle()
    batch_notices.mark_finished()
    closed(anna, "second")
    settle()
    batch_notices.mark_finished()
    page = visitor.get("/history/")
    assertContains(page, "second</a> has finished")
    assertContains(page, "1 more has finished")
    until = page.context["finished"].batch.finished_at.isoformat()
    closed(anna, "third")
    settle()
    batch_notices.mark_finished()
    dismissed = visitor.post("/batches/seen/", {"until": until}, headers={"HX-Request": "true"})
    assert (dismissed.status_code, dismissed.content) == (200, b"")
    page = visitor.get("/history/")
    assertContains(page, "third</a> has finished")
    assertNotContains(page, "more has finished")
    assert visitor.post("/batches/seen/", {"until": "yesterday"}).status_code == 400


def test_open_cancelled_and_empty_batches_are_not_announced(visitor: Client, anna: User) -> None:
    batches.add_file(batches.create(anna, "open"), "1.wav", [b"1"])
    settle()
    batches.cancel(closed(anna, "cancelled"))
    batches.close(batches.create(anna, "empty"))
    batch_notices.mark_finished()
    assertNotContains(visitor.get("/history/"), HEADER)


def test_a_batch_whose_end_was_seen_before_the_sweep_is_not_announced(
    visitor: Client, anna: User
) -> None:
    batch = closed(anna)
    settle()
    visitor.get(f"/batches/{batch.pk}/")
    batch_notices.mark_finished()
    assertNotContains(visitor.get("/history/"), HEADER)


def test_a_retried_batch_is_announced_again(visitor: Client, anna: User) -> None:
    batch = closed(anna)
    settle(State.FAILED, error_code="crashed")
    batch_notices.mark_finished()
    visitor.post(f"/batches/{batch.pk}/retry/")
    batch_notices.mark_finished()
    assertNotContains(visitor.get("/history/"), HEADER)
    settle()
    batch_notices.mark_finished()
    assertContains(visitor.get("/history/"), "1 done, 1 refused")


def test_a_finished_batch_is_announced_again_after_a_clip_is_analysed_again(
    visitor: Client, anna: User
) -> None:
    batch = closed(anna)
    settle(State.FAILED)
    batch_notices.mark_finished()
    file = batch.files.get(path="1.wav")
    assert file.analysis is not None
    uploads.analyse_again(file.analysis.clip)
    batch_notices.mark_finished()
    assertNotContains(visitor.get("/history/"), HEADER)
    settle()
    batch_notices.mark_finished()
    assertContains(visitor.get("/history/"), "1 done, 1 refused")


def test_a_batch_that_takes_over_an_unfinished_clip_is_not_finished(anna: User) -> None:
    first, second = closed(anna), batches.create(anna, "second")
    batches.add_file(second, "1.wav", [b"Field trip"])
    batches.close(second)
    batch_notices.mark_finished()
    deletion.delete_batch(first)
    second.refresh_from_db()
    assert second.finished_at is None


def test_an_email_is_offered_only_where_it_can_be_sent(
    visitor: Client, anna: User, settings: Settings
) -> None:
    settings.EMAIL_HOST = "mail.example"
    assertNotContains(visitor.get("/batches/new/"), "E-mail me")
    assert batches.create(anna, "x", mail=True).mail == BatchMail.NONE
