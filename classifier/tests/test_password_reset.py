"""Resetting a forgotten password, with a link from an administrator or from an e-mail."""

import re
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core import mail
from django.test import Client
from pytest_django import Settings
from pytest_django.asserts import assertContains, assertNotContains, assertRedirects

from classifier.services import rate_limits
from classifier.tests.conftest import Caller
from tests.server import wait_for

pytestmark = pytest.mark.usefixtures("fresh_counters")
OLD, NEW = "gr4nular-ear", "m0re-granular"
SIGN_IN = "/account/sign-in/"
FORGOTTEN = "/account/reset/"


@pytest.fixture
def with_email(settings: Settings, anna: User) -> None:
    settings.EMAIL_HOST = "mail.example"
    User.objects.filter(pk=anna.pk).update(email="anna@lake.example")


def made_link(admin: Client, user: User) -> str:
    page = admin.post(f"/admin/auth/user/{user.pk}/reset-link/").content.decode()
    (link,) = re.findall(rf"{django_settings.ORIGIN}(/account/reset/[^<]+)<", page)
    return link


def opened(link: str, client: Client | None = None) -> Any:
    return (client or Client()).get(link, follow=True)


def reset(link: str, password: str = NEW) -> Any:
    client = Client()
    form = client.get(link)["Location"]
    return client.post(form, {"new_password1": password, "new_password2": password}, follow=True)


def signs_in(password: str) -> bool:
    body = {"username": "anna", "password": password}
    return Client().post(SIGN_IN, body, REMOTE_ADDR="192.0.2.1").status_code == 302


def ask(address: str, **headers: str) -> Any:
    return Client().post(FORGOTTEN, {"email": address}, headers=headers)


def test_a_link_of_an_administrator_works_once_and_is_recorded(
    admin_client: Client, anna: User
) -> None:
    page = f"/admin/auth/user/{anna.pk}/reset-link/"
    assertContains(admin_client.get(f"/admin/auth/user/{anna.pk}/change/"), page)
    assertNotContains(admin_client.get(page), "/account/reset/")
    link = made_link(admin_client, anna)
    assert LogEntry.objects.get(object_id=anna.pk).change_message.startswith("Created a link")
    assert signs_in(OLD) is True
    link = made_link(admin_client, anna)
    secret = link.rstrip("/").rpartition("/")[2]
    assert secret not in str(list(LogEntry.objects.values()))
    assertNotContains(admin_client.get(page), secret)
    assertContains(opened(link), "For the account")
    assertContains(reset(link), "Password changed")
    assert signs_in(NEW) and not signs_in(OLD)
    assertContains(opened(link), "This link no longer works")


def test_a_link_ends_when_it_expires_or_the_user_signs_in(
    admin_client: Client, anna: User, settings: Settings
) -> None:
    link = made_link(admin_client, anna)
    settings.PASSWORD_RESET_TIMEOUT = -1
    assertContains(opened(link), "This link no longer works")
    settings.PASSWORD_RESET_TIMEOUT = 60
    assertContains(opened(link), "For the account")
    assert signs_in(OLD)
    assertContains(opened(link), "This link no longer works")


def test_a_reset_ends_sessions_revokes_tokens_and_unlocks_the_name(
    admin_client: Client, anna: User, ben: User
) -> None:
    elsewhere, caller, other = Client(), Caller(anna), Caller(ben)
    elsewhere.force_login(anna)
    link = made_link(admin_client, anna)
    for _ in range(11):
        signs_in("wrong")
    assert not signs_in(OLD)
    assertContains(reset(link, "12345678"), "too common")
    assert elsewhere.get("/account/").status_code == 200
    reset(link)
    assert signs_in(NEW)
    assert elsewhere.get("/account/").status_code == 302
    assert caller.get("clips/").status_code == 401
    assert other.get("clips/").status_code == 200


def test_only_administrators_who_may_change_users_make_links(anna: User, ben: User) -> None:
    User.objects.filter(pk=ben.pk).update(is_staff=True)
    client = Client()
    client.force_login(ben)
    page = f"/admin/auth/user/{anna.pk}/reset-link/"
    assert client.post(page).status_code == 403
    ben.user_permissions.set(Permission.objects.filter(codename="change_user"))
    assertContains(client.post(page), "/account/reset/")
    User.objects.filter(pk=anna.pk).update(is_active=False)
    assertNotContains(client.post(page), "/account/reset/")


def test_nothing_offers_an_e_mail_unless_it_is_set_up(anna: User) -> None:
    assertNotContains(Client().get(SIGN_IN), "Forgot")
    assertNotContains(Client().get("/account/sign-up/"), "E-mail")
    assert ask("anna@lake.example").status_code == 404
    client = Client()
    client.force_login(anna)
    assertNotContains(client.get("/account/"), "e-mail")


@pytest.mark.usefixtures("with_email")
def test_a_forgotten_password_is_reset_by_e_mail() -> None:
    assertContains(Client().get(SIGN_IN), FORGOTTEN)
    assertRedirects(ask("Anna@Lake.example", host="localhost:666"), "/account/reset/sent/")
    wait_for(lambda: len(mail.outbox) == 1, 10, "the e-mail")
    (message,) = mail.outbox
    assert message.to == ["anna@lake.example"]
    assert "the account anna" in str(message.body)
    (link,) = re.findall(rf"{django_settings.ORIGIN}(\S+)", str(message.body).split("\n\n")[2])
    assertContains(reset(link), "Password changed")
    assert signs_in(NEW)


@pytest.mark.usefixtures("with_email")
def test_the_answer_does_not_tell_whether_the_address_exists(ben: User, settings: Settings) -> None:
    """At most three e-mails an hour go to one user, which the answer does not tell either."""
    User.objects.filter(pk=ben.pk).update(email="ben@lake.example", is_active=False)
    addresses = ["anna@lake.example"] * 5 + ["ben@lake.example", "nobody@lake.example"]
    answers = [ask(address) for address in addresses]
    assert {(answer.status_code, answer["Location"]) for answer in answers} == {
        (302, "/account/reset/sent/")
    }
    wait_for(lambda: len(mail.outbox) >= rate_limits.RESET_MAILS_PER_HOUR, 10, "the e-mails")
    assert [message.to for message in mail.outbox] == [["anna@lake.example"]] * 3


@pytest.mark.usefixtures("with_email")
def test_a_user_changes_their_address_with_their_password(anna: User) -> None:
    client = Client()
    client.force_login(anna)
    assertContains(client.get("/account/"), "anna@lake.example")
    wrong = client.post("/account/email/", {"email": "a@new.example", "password": "wrong"})
    assertContains(wrong, "The password is incorrect.", status_code=400)
    for address in ("a@new.example", ""):
        client.post("/account/email/", {"email": address, "password": OLD})
        anna.refresh_from_db()
        assert anna.email == address
    body = {"username": "carla", "password1": OLD, "password2": OLD, "email": "c@lake.example"}
    Client().post("/account/sign-up/", body)
    assert User.objects.get(username="carla").email == "c@lake.example"
