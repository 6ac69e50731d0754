"""Tokens, in the API and on the account page."""

import re
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from classifier.models import ApiToken
from classifier.services import tokens
from classifier.tests.conftest import Caller, refused


def test_a_token_is_created_listed_used_and_revoked(caller: Caller) -> None:
    made = caller.post("tokens/", {"name": "garden box", "expires_in_days": 7})
    assert made.status_code == 201
    secret = made.json()["token"]
    listed = caller.get("tokens/")
    assert secret not in listed.content.decode()
    newest, mine = listed.json()["results"]
    assert (newest["name"], newest["last_used_at"]) == ("garden box", None)
    assert mine["last_used_at"]
    days = ApiToken.objects.get(name="garden box").expiry - timezone.now()
    assert timedelta(days=6) < days < timedelta(days=7, minutes=1)
    box = Client(headers={"Authorization": f"Token {secret}"})
    assert box.get("/api/v1/clips/").status_code == 200
    assert caller.delete(f"tokens/{newest['id']}/").status_code == 204
    refused(box.get("/api/v1/clips/"), 401)
    refused(caller.delete(f"tokens/{newest['id']}/"), 404)


def test_the_last_use_is_written_once_a_minute(caller: Caller) -> None:
    caller.get("tokens/")
    used = ApiToken.objects.get().last_used_at
    caller.get("tokens/")
    assert ApiToken.objects.get().last_used_at == used
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    caller.get("tokens/")
    assert ApiToken.objects.get().last_used_at > used


def test_a_token_is_issued_for_username_and_password(anna: User) -> None:
    def ask(**fields: Any) -> Any:
        body = {"username": "anna", "password": "gr4nular-ear"} | fields
        return Client().post("/api/v1/token/", body, content_type="application/json")

    assert set(ask().json()) == {"token"}
    assert ask(name="laptop", expires_in_days=1).status_code == 200
    assert ApiToken.objects.filter(name="laptop").exists()
    refused(ask(password="no"), 400, "bad_credentials")
    refused(ask(expires_in_days=0), 400, "invalid")
    refused(ask(name="\x00"), 400, "invalid")


def test_a_username_can_be_typed_in_any_normal_form(db: None) -> None:
    User.objects.create_superuser("zoë", password="gr4nular-ear")
    typed = {"username": "zoe\N{COMBINING DIAERESIS}", "password": "gr4nular-ear"}
    answer = Client().post("/api/v1/token/", typed, "application/json")
    assert set(answer.json()) == {"token"}
    for address in ("/account/sign-in/", "/admin/login/"):
        client = Client()
        client.post(address, typed)
        assert client.get("/account/").status_code == 200, address


def test_the_account_page_creates_shows_once_and_revokes_tokens(anna: User) -> None:
    client = Client()
    client.force_login(anna)
    made = client.post("/account/", {"name": "garden box", "expires_in_days": 7})
    token = ApiToken.objects.get()
    secret = re.search(r"data-secret>([0-9a-f]+)<", made.content.decode())
    assert secret
    assert made["Cache-Control"] == "no-store"
    again = client.get("/account/").content.decode()
    assert secret[1] not in again
    assert "garden box" in again and "/account/password/" in again
    box = Client(headers={"Authorization": f"Token {secret[1]}"})
    assert box.get("/api/v1/clips/").status_code == 200
    assert client.post(f"/account/tokens/{token.public_id}/revoke/").status_code == 302
    assert box.get("/api/v1/clips/").status_code == 401
    assert client.post("/account/", {"expires_in_days": 0}).status_code == 400


def test_a_user_cannot_revoke_the_token_of_another(anna: User, ben: User) -> None:
    theirs, _ = tokens.create(ben)
    client = Client()
    client.force_login(anna)
    assert client.post(f"/account/tokens/{theirs.public_id}/revoke/").status_code == 404
    assert ApiToken.objects.count() == 1
