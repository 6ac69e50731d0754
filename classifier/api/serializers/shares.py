"""Share links ↔ JSON."""

from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.analyses import ANALYSIS_ID
from classifier.api.serializers.base import example
from classifier.links import shared_page
from classifier.models import ShareLink

MAX_DAYS = 3650


@example({"expires_in_days": 30})
class CreateShare(Serializer):
    expires_in_days = fields.IntegerField(
        default=None,
        allow_null=True,
        min_value=1,
        max_value=MAX_DAYS,
        help_text=f"Days until a new link expires, 1 to {MAX_DAYS}; null means that it works until "
        "it is revoked.",
    )


@example(
    {
        "token": "mT3kq0ZVYx7d1pWcN2uJ4A",
        "url": "http://localhost:8000/s/mT3kq0ZVYx7d1pWcN2uJ4A/",
        "analysis": ANALYSIS_ID,
        "name": "dawn.wav",
        "created_at": "2026-11-22T09:00:00Z",
        "expires_at": None,
    }
)
class Share(Serializer):
    token = fields.CharField(help_text="Identifies the link, needed to revoke it.")
    url = fields.SerializerMethodField(help_text="URL of the shared page.")
    analysis = fields.UUIDField(source="analysis_id", help_text="The shared analysis.")
    name = fields.CharField(source="analysis.clip.name", help_text="File name as uploaded.")
    created_at = fields.DateTimeField(help_text="Time of creation, UTC.")
    expires_at = fields.DateTimeField(
        allow_null=True, help_text="Time of expiry, UTC; null if it does not expire."
    )

    def get_url(self, link: ShareLink) -> str:
        return shared_page(link)
