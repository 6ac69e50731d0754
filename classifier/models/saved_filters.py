"""Filters of the history that users saved by name."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower


class SavedFilter(models.Model):
    """The filters and the order of a history page.

    `query` is the query string of its address.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="saved_filters"
    )
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=2000)

    class Meta:
        ordering = (Lower("name"),)
        constraints = [
            models.UniqueConstraint("owner", Lower("name"), name="one_filter_of_a_name_per_owner")
        ]

    def __str__(self) -> str:
        return self.name
