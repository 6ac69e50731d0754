"""Share links: one result, shown without an account."""

import secrets
from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from classifier.models.analyses import Analysis
from classifier.models.clips import VISITORS, Owner, is_visitors_account

TOKEN_BYTES = 16


def new_token() -> str:
    """Return a random token of 22 characters: 128 bits."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class ShareLinkQuerySet(models.QuerySet["ShareLink"]):
    def live(self) -> Self:
        """Return the links that have not expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))

    def expired(self) -> Self:
        return self.filter(expires_at__lte=timezone.now())

    def for_owner(self, user: Owner) -> Self:
        """Return a user's live links with their clips, newest first."""
        heavy = (f"analysis__{name}" for name in ("predictions", "render_metadata", "embedding"))
        rows = self.live().filter(owner=user.pk).select_related("analysis__clip")
        return rows.defer(*heavy).order_by("-created_at", "-id")

    def open(self, token: str) -> "ShareLink | None":
        """Return the live link with this token and its analysis, None if there is none.

        The links of a deactivated user do not work; the account of visitors is always inactive.
        """
        rows = self.live().filter(Q(owner__is_active=True) | Q(owner__username=VISITORS))
        return rows.select_related("analysis__clip", "owner").filter(token=token).first()


class ShareLink(models.Model):
    """An unlisted link to one analysis of its owner. Revoking it deletes the row."""

    token = models.CharField(max_length=32, unique=True, default=new_token, editable=False)
    analysis = models.ForeignKey(Analysis, models.CASCADE, related_name="shares")
    # As in the analysis; here for the index of the owner's list.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="shares", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(
        null=True, db_index=True, help_text="Empty: it works until it is revoked."
    )

    objects = ShareLinkQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["owner", "-created_at", "-id"], name="share_of_owner")]

    def __str__(self) -> str:
        return f"link to {self.analysis_id}"

    @property
    def of_visitor(self) -> bool:
        """Whether somebody without an account uploaded the sound, or it is the example."""
        return is_visitors_account(self.owner)

    @property
    def may_explain(self) -> bool:
        """Whether viewers may request inspections; otherwise they see those that exist."""
        return settings.VISITORS and self.of_visitor

    @property
    def kept_until(self) -> datetime | None:
        """When a visitor's sound is deleted; None for any other."""
        return self.expires_at if self.of_visitor else None
