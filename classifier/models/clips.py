"""Uploaded clips."""

import unicodedata
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import models
from django.db.models import Q
from django.utils import timezone

from classifier.models.tags import Tag, words
from ml import notices

if TYPE_CHECKING:
    from classifier.models.batches import Batch

MAX_NAME_CHARACTERS = 255
MAX_NOTE_CHARACTERS = 2000
MAX_FOLDER_CHARACTERS = 255
# The user whose rows are requested; an anonymous user has none.
Owner = User | AnonymousUser
# The username of the built-in account that owns the sounds of people without an account. No person
# can have it: Django's validator of usernames does not allow these brackets.
VISITORS = "<visitors>"


def is_visitors_account(user: User) -> bool:
    """Whether it is the built-in account, to which nobody can sign in."""
    return user.username == VISITORS


def folder_prefix(path: str) -> str | None:
    """Return how the paths of the files in a folder start; None for no folder."""
    path = path.strip("/")
    return f"{path}/"[:MAX_FOLDER_CHARACTERS] if path else None


def beside(**columns: Any) -> Q:
    """Return the condition `column = value` for queries that should use another, narrower index.

    It is written as a range: SQLite expects `=` to leave ten rows and would read a user's whole
    history for it.
    """
    edges = ("gte", "lte")
    return Q(**{f"{name}__{edge}": value for name, value in columns.items() for edge in edges})


def folded(name: str) -> str:
    """Return a name as it is searched and sorted: case-folded and composed (NFC).

    Names from macOS are decomposed. SQLite compares only ASCII letters without regard to case, and
    PostgreSQL takes three times as long for it.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class ClipQuerySet(models.QuerySet["Clip"]):
    def for_owner(self, user: Owner, batch: "Batch | None" = None) -> Self:
        """Return a user's clips; with `batch`, only the clips of that batch, each once."""
        if batch is None:
            return self.filter(owner=user.pk)
        return self.filter(beside(owner=user.pk), pk__in=batch.files.values("analysis__clip"))

    def in_folder(self, folder: str, batch: "Batch | None" = None) -> Self:
        """Return the clips in a folder and in the folders in it; upper and lower case are the same.

        With `batch`, the folder is that of the batch; otherwise the one that the clip was first
        uploaded in.
        """
        inside = folder_prefix(folder)
        if inside is None:
            return self
        if batch:
            files = batch.files.filter(path__istartswith=inside)
            return self.filter(pk__in=files.values("analysis__clip"))
        return self.filter(Q(folder__iexact=inside[:-1]) | Q(folder__istartswith=inside))

    def of_visitors(self) -> Self:
        """Return the clips of the built-in account, to which nobody can sign in."""
        return self.filter(owner__username=VISITORS)


class Clip(models.Model):
    """An uploaded sound.

    `file_key` names its bytes. Identical uploads of one owner share the same bytes.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="clips")
    name = models.CharField(
        max_length=MAX_NAME_CHARACTERS,
        help_text="The name of the uploaded file; used only as a label.",
    )
    folder = models.CharField(
        max_length=1000,
        blank=True,
        help_text="The folder that the file was in, inside the folder of its batch.",
    )
    file_key = models.CharField(max_length=32, db_index=True)
    size_bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    # What the worker found in the file.
    format = models.CharField(max_length=8, blank=True)
    duration_s = models.FloatField(null=True)
    source_rate_hz = models.PositiveIntegerField(null=True)
    channels = models.PositiveSmallIntegerField(null=True)
    notices = models.JSONField(
        default=list,
        blank=True,
        help_text="What the decoder did with a file that was not a plain success: codes of "
        "`ml.notices`.",
    )

    recorded_at = models.CharField(
        max_length=32,
        blank=True,
        help_text="When the recording starts, in ISO 8601, without an offset if the zone is "
        "unknown; empty if the time is unknown.",
    )
    recorded_from = models.CharField(
        max_length=8,
        blank=True,
        help_text="Where `recorded_at` was found: a kind of metadata, name, or user.",
    )

    # What the user says about it. `services.notes` changes them.
    tags = models.ManyToManyField(Tag, related_name="clips", blank=True)
    note = models.CharField(max_length=MAX_NOTE_CHARACTERS, blank=True)

    objects = ClipQuerySet.as_manager()

    class Meta:
        indexes = [
            # By hash first: the admin searches without an owner.
            models.Index(fields=["sha256", "owner"], name="clip_by_hash"),
            # With size and name, so that a user's uploads are summed, and searched by name, from
            # the index alone. The uploads of all users are only searched.
            models.Index(
                fields=["owner", "-created_at", "-id", "size_bytes", "name"], name="clip_of_owner"
            ),
            models.Index(fields=["-created_at", "-id", "name"], name="clip_by_age"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def of_visitor(self) -> bool:
        """Whether somebody without an account uploaded it."""
        return is_visitors_account(self.owner)

    @property
    def noticed(self) -> list[dict[str, str]]:
        """The notices, each with its sentence."""
        return notices.as_dicts(self.notices)

    @property
    def silent(self) -> bool:
        """Whether the sound is silent or nearly silent."""
        return notices.SILENT in self.notices

    @property
    def notice_codes(self) -> str:
        """The codes of the notices in one cell of a table."""
        return "; ".join(self.notices)

    @property
    def notice_sentences(self) -> str:
        return " ".join(one["detail"] for one in self.noticed)

    def copied(self) -> dict[str, Any]:
        """Return the columns of an analysis that are copies of the clip's, except `clip_tags`."""
        return {
            "clip_folded_name": folded(self.name)[:MAX_NAME_CHARACTERS],
            "clip_folder": folder_prefix(self.folder),
            "clip_duration_s": self.duration_s,
            "clip_notices": words(self.notices),
        }

    @property
    def tag_names(self) -> list[str]:
        return [tag.name for tag in self.tags.all()]

    def clock_time(self, seconds: float = 0) -> datetime | None:
        """Return the time of day and date at a place in the recording.

        Parameters
        ----------
        seconds : float
            From the start of the recording, in s.

        Returns
        -------
        datetime or None
            Aware if the recording's zone is known, otherwise naive. None if the start is unknown,
            or the year would exceed 9999.
        """
        if not self.recorded_at:
            return None
        try:
            return datetime.fromisoformat(self.recorded_at) + timedelta(seconds=seconds)
        except OverflowError:
            return None
