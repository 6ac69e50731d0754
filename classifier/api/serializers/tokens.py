"""Tokens ↔ JSON."""

from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.base import Text
from classifier.models import ApiToken
from classifier.services.tokens import DEFAULT_DAYS, MAX_DAYS

SECRET = "The secret itself; it is shown only this once."  # noqa: S105 - says what one is


class TokenForm(Serializer):
    name = Text(default="", allow_blank=True, max_length=100, help_text="What you will know it by.")
    expires_in_days = fields.IntegerField(
        default=DEFAULT_DAYS,
        min_value=1,
        max_value=MAX_DAYS,
        help_text=f"Days until it stops working, 1 to {MAX_DAYS}.",
    )


class TokenRequest(TokenForm):
    username = Text(max_length=150, trim_whitespace=True, help_text="As on the sign-in page.")
    password = Text(max_length=1000, help_text="As on the sign-in page.")


class TokenAnswer(Serializer):
    token = fields.CharField(help_text=SECRET)


class TokenRow(Serializer):
    id = fields.UUIDField(source="public_id", help_text="What to revoke it by.")
    name = fields.CharField(help_text="What you know it by.")
    created_at = fields.DateTimeField(source="created", help_text="When it was made, UTC.")
    expires_at = fields.DateTimeField(source="expiry", help_text="When it ends, UTC.")
    last_used_at = fields.DateTimeField(
        allow_null=True, help_text="To within a minute, UTC; null while unused."
    )


class NewToken(TokenRow):
    token = fields.SerializerMethodField(help_text=SECRET)

    def get_token(self, token: ApiToken) -> str:
        return self.context["token"]
