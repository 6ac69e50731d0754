"""Tokens ↔ JSON."""

from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.base import Text, example
from classifier.models import ApiToken
from classifier.services.tokens import DEFAULT_DAYS, MAX_DAYS

SECRET = "The token itself. It is shown only once."  # noqa: S105 - describes a secret
TOKEN = {
    "id": "5d1c6a0e-2b7f-4c58-9a3d-8e1f7b2c4d60",
    "name": "garden",
    "created_at": "2026-11-22T09:00:00Z",
    "expires_at": "2026-12-22T09:00:00Z",
    "last_used_at": "2026-11-22T09:05:00Z",
}


@example({"name": "garden", "expires_in_days": 30})
class CreateToken(Serializer):
    name = Text(default="", allow_blank=True, max_length=100, help_text="A name for the token.")
    expires_in_days = fields.IntegerField(
        default=DEFAULT_DAYS,
        min_value=1,
        max_value=MAX_DAYS,
        help_text=f"Days until the token expires, 1 to {MAX_DAYS}.",
    )


@example({"username": "anna", "password": "correct horse battery staple"})
class SignIn(CreateToken):
    username = Text(
        max_length=150, trim_whitespace=True, help_text="The username used on the sign-in page."
    )
    password = Text(max_length=1000, help_text="The password used on the sign-in page.")


@example({"token": "4bd0e6a3c1…"})
class TokenSecret(Serializer):
    token = fields.CharField(help_text=SECRET)


@example(TOKEN)
class TokenSummary(Serializer):
    id = fields.UUIDField(source="public_id", help_text="Token id, needed to revoke the token.")
    name = fields.CharField(help_text="The token's name.")
    created_at = fields.DateTimeField(source="created", help_text="Time of creation, UTC.")
    expires_at = fields.DateTimeField(source="expiry", help_text="Time of expiry, UTC.")
    last_used_at = fields.DateTimeField(
        allow_null=True, help_text="Time of last use, to the minute, UTC; null if never used."
    )


@example({**TOKEN, "last_used_at": None, "token": "4bd0e6a3c1…"})
class CreatedToken(TokenSummary):
    token = fields.SerializerMethodField(help_text=SECRET)

    def get_token(self, token: ApiToken) -> str:
        return self.context["token"]
