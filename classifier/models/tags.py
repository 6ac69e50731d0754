"""Tags of clips."""

from collections.abc import Iterable

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower

# Of one clip. `Analysis.clip_tags` is in an index, whose entries are limited in size.
MAX_TAGS = 20
MAX_TAG_CHARACTERS = 60


class Tag(models.Model):
    """A word that a user gave to some of their clips. Upper and lower case are the same."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="tags")
    name = models.CharField(max_length=MAX_TAG_CHARACTERS)

    class Meta:
        ordering = (Lower("name"),)
        constraints = [
            models.UniqueConstraint("owner", Lower("name"), name="one_tag_of_a_name_per_owner")
        ]

    def __str__(self) -> str:
        return self.name


def tag_words(keys: Iterable[int]) -> str | None:
    """Return keys of tags as `words` does."""
    return words(map(str, sorted(keys)))


def words(found: Iterable[str]) -> str | None:
    """Return words as a string in which each is found between two spaces; None without words."""
    text = " ".join(found)
    return f" {text} " if text else None
