"""The e-mail about a finished batch is sent once, and tried again a few times."""

import smtplib
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from classifier.models import Analysis, Batch, BatchMail, State
from classifier.services import batch_notices, batches
from tasks.mail import send_due


@pytest.fixture
def anna(db: None, settings: Settings, tmp_path: Path) -> User:
    settings.MEDIA_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    settings.EMAIL_HOST = "mail.example"
    settings.DEFAULT_FROM_EMAIL = "sounds@example.org"
    return User.objects.create(username="anna", email="anna@example.org")


def closed(owner: User, name: str = "Field trip", *, mail: bool = False) -> Batch:
    batch = batches.create(owner, name, mail=mail)
    batches.add_file(batch, "1.wav", [name.encode()])
    batches.close(batch)
    return batch


def settle() -> None:
    Analysis.objects.filter(state=State.QUEUED).update(state=State.DONE)


def test_one_email_is_sent_if_the_user_asked_for_it(anna: User) -> None:
    visitor = Client()
    visitor.force_login(anna)
    assert "E-mail me when the batch has finished" in visitor.get("/batches/new/").content.decode()
    address = visitor.post("/batches/", {"name": "Field trip", "mail": "1"}).json()["url"]
    batch = Batch.objects.get()
    batches.add_file(batch, "1.wav", [b"1"])
    batches.close(batch)
    closed(anna, "not asked")
    send_due()
    settle()
    batch_notices.mark_finished()
    for _ in range(2):
        send_due()
    (sent,) = mail.outbox
    assert sent.to == ["anna@example.org"]
    assert sent.subject == "Batch “Field trip” has finished: 1 done"
    assert f"{address}\n" in sent.body


def test_a_failed_email_is_tried_again_a_few_times(
    anna: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    batch = closed(anna, mail=True)
    settle()
    batch_notices.mark_finished()
    tries = []

    def broken(*_: Any) -> None:
        tries.append(1)
        raise smtplib.SMTPServerDisconnected("no connection")

    monkeypatch.setattr("tasks.mail.send_mail", broken)
    for _ in range(3):
        send_due()
    assert len(tries) == 1, "the next attempt comes a minute later"
    Batch.objects.update(finished_at=timezone.now() - timedelta(days=1))
    for _ in range(9):
        send_due()
    assert len(tries) == len(batch_notices.ATTEMPTS_AFTER)
    batch.refresh_from_db()
    assert batch.mail == BatchMail.FAILED
    assert "no connection" in caplog.text


def test_a_second_email_is_sent_after_a_retry(anna: User) -> None:
    batch = closed(anna, mail=True)
    Analysis.objects.update(state=State.FAILED, error_code="crashed")
    batch_notices.mark_finished()
    send_due()
    batches.retry_failed(batch)
    send_due()
    assert len(mail.outbox) == 1
    settle()
    batch_notices.mark_finished()
    send_due()
    assert [sent.subject.partition(": ")[2] for sent in mail.outbox] == ["1 failed", "1 done"]


def test_no_email_is_lost_if_the_database_fails(
    anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed(anna, mail=True)
    settle()
    batch_notices.mark_finished()
    with monkeypatch.context() as patch:
        patch.setattr("classifier.services.batches.totals", Mock(side_effect=OperationalError))
        with pytest.raises(OperationalError):
            send_due()
    send_due()
    assert len(mail.outbox) == 1


def test_no_email_is_sent_about_an_empty_batch(anna: User) -> None:
    batch = batches.create(anna, "empty", mail=True)
    batches.close(batch)
    visitor = Client()
    visitor.force_login(anna)
    visitor.get(f"/batches/{batch.pk}/")
    batch_notices.mark_finished()
    send_due()
    assert not mail.outbox


def test_of_two_sweeps_one_sends_the_email(anna: User) -> None:
    closed(anna, mail=True)
    settle()
    batch_notices.mark_finished()
    (first,), (second,) = batch_notices.due_mails(9), batch_notices.due_mails(9)
    assert [batch_notices.claim_mail(row) for row in (first, second)] == [True, False]
