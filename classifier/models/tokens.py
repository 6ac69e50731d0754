"""Idempotency keys of uploads and tokens of API clients."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone
from knox.models import AbstractAuthToken

from classifier.models.analyses import Analysis


class IdempotencyKey(models.Model):
    """The response to an upload with this key; kept as long as its analysis."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    analysis = models.ForeignKey(Analysis, models.CASCADE, related_name="+")
    duplicate = models.BooleanField(help_text="Whether the response was an earlier result.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "key"], name="one_answer_per_owner_and_key")
        ]

    def __str__(self) -> str:
        return self.key


class ApiToken(AbstractAuthToken):
    """An API token; only its hash is stored. Users revoke it by `public_id`."""

    public_id = models.UUIDField(default=uuid.uuid4, editable=False, unique=True)
    name = models.CharField(max_length=100, blank=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["user", "-created"], name="token_newest")]

    def __str__(self) -> str:
        return self.name or f"token of {self.created:%Y-%m-%d}"
