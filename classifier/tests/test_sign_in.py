"""Limits on password guessing, at every endpoint that accepts passwords."""

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings
from pytest_django.asserts import assertContains

RIGHT = "gr4nular-ear"
ENDPOINTS = ("/account/sign-in/", "/admin/login/", "/api/v1/token/")


pytestmark = pytest.mark.usefixtures("fresh_counters")


def sign_in(endpoint: str, name: str, password: str, address: str = "192.0.2.1") -> Any:
    body: Any = {"username": name, "password": password}
    if endpoint.startswith("/api/"):
        return Client().post(endpoint, body, "application/json", REMOTE_ADDR=address)
    return Client().post(endpoint, body, REMOTE_ADDR=address)


def signed_in(answer: Any) -> bool:
    return answer.status_code == 302 or "token" in answer.content.decode()[:20]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_after_ten_wrong_passwords_the_right_one_is_refused(endpoint: str, anna: User) -> None:
    for _ in range(10):
        assert not signed_in(sign_in(endpoint, "anna", "wrong"))
    for other in ENDPOINTS:
        answer = sign_in(other, "anna", RIGHT)
        assert answer.status_code == 429
        assert answer["Retry-After"] == "900"
        assert not signed_in(answer)
    assertContains(sign_in("/account/sign-in/", "anna", RIGHT), "Wait 15 minutes", status_code=429)
    body = sign_in("/api/v1/token/", "anna", RIGHT).json()
    assert body["code"] == "locked" and body["hint"]


def test_the_lock_applies_to_one_name_from_one_address(anna: User, ben: User) -> None:
    for _ in range(12):
        sign_in("/account/sign-in/", "anna", "wrong")
    assert signed_in(sign_in("/account/sign-in/", "ben", RIGHT))
    assert signed_in(sign_in("/account/sign-in/", "anna", RIGHT, address="192.0.2.2"))


def test_a_correct_password_resets_the_count(anna: User) -> None:
    for _ in range(3):
        for _ in range(9):
            sign_in("/account/sign-in/", "anna", "wrong")
        assert signed_in(sign_in("/account/sign-in/", "anna", RIGHT))


def test_forwarded_addresses_are_ignored_without_a_proxy(anna: User, settings: Settings) -> None:
    """Without a proxy, `X-Forwarded-For` does not reset the count."""
    for number in range(11):
        Client().post(
            "/account/sign-in/",
            {"username": "anna", "password": "wrong"},
            REMOTE_ADDR="192.0.2.1",
            HTTP_X_FORWARDED_FOR=f"198.51.100.{number}",
        )
    assert sign_in("/account/sign-in/", "anna", RIGHT).status_code == 429


@pytest.mark.parametrize(
    "endpoint", [*ENDPOINTS, "/account/sign-up/", "/account/reset/", "/account/reset/x/x/"]
)
def test_sign_in_attempts_are_limited_per_address(
    endpoint: str, db: None, settings: Settings
) -> None:
    settings.EMAIL_HOST = "mail.example"
    settings.THROTTLE_RATES = {**django_settings.THROTTLE_RATES, "sign_ins": "3/min"}
    answers = [sign_in(endpoint, f"name{number}", "wrong") for number in range(4)]
    assert [answer.status_code == 429 for answer in answers] == [False, False, False, True]
    assert 0 < int(answers[-1]["Retry-After"]) <= 60
    assert sign_in(endpoint, "name", "wrong", address="192.0.2.9").status_code != 429


def test_a_lock_does_not_log_the_name_or_password(
    anna: User, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(11):
        sign_in("/account/sign-in/", "anna", "wr0ng-and-secret")
    assert "anna" not in caplog.text
    assert "wr0ng-and-secret" not in caplog.text
