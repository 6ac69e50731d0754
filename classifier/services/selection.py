"""What users do with many rows of their history at once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from classifier.models import Analysis, Clip, Lane, Owner
from classifier.models.history import CONDITIONS
from classifier.services import deletion, notes, quotas, uploads

# Clips that one request changes.
MAX_CLIPS = 10_000
# Clips that one request analyses again, which takes longer.
MAX_AGAIN = 1000


@dataclass(frozen=True, slots=True)
class Selected:
    """The clips of the selected analyses, each once.

    Attributes
    ----------
    clips : sequence of UUID
        At most MAX_CLIPS.
    more : bool
        Whether there are further ones, which the request does not change.
    """

    clips: Sequence[Any]
    more: bool

    @property
    def digest(self) -> str:
        """SHA-256 of the keys: a confirmation is valid only for the clips that it was asked for."""
        return hashlib.sha256(" ".join(sorted(map(str, self.clips))).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Changed:
    """Result of a change of many clips.

    Attributes
    ----------
    clips : int
        How many were changed.
    more : bool
        Whether there are further ones to change; the same request changes the next ones.
    """

    clips: int
    more: bool


@dataclass(frozen=True, slots=True)
class Queued:
    """Result of analysing many clips again.

    Attributes
    ----------
    queued : int
        Clips that have a new analysis.
    waiting : int
        Clips that already had an unfinished analysis by the same checkpoint.
    left : int
        Clips for which the user's quota has no room.
    more : bool
        Whether the selection has further ones, which were not considered.
    """

    queued: int
    waiting: int
    left: int
    more: bool


def selected(rows: QuerySet[Analysis], most: int = MAX_CLIPS) -> Selected:
    keys = list(rows.values_list("clip", flat=True)[: most + 1])
    return Selected(list(dict.fromkeys(keys[:most])), len(keys) > most)


def analyse_again(user: Owner, rows: QuerySet[Analysis], checkpoint: str = "") -> Queued:
    """Queue a new analysis of at most MAX_AGAIN clips, as far as the user's quota allows.

    The clips of the oldest analyses come first, so that the same request, repeated, continues.

    Parameters
    ----------
    checkpoint : str
        Name or identity; "" means the default.

    Raises
    ------
    RequestRefused
        No such checkpoint is offered (400).
    """
    identity = uploads.checkpoint_asked(checkpoint)
    found = selected(rows.order_by("created_at", "id"), MAX_AGAIN)
    lane = Lane.BULK if len(found.clips) > 1 else Lane.INTERACTIVE
    room = quotas.room(user)
    started, queued, seen, left = timezone.now(), 0, 0, found.clips
    while left and (room is None or queued < room):
        most = uploads.QUEUED_AT_ONCE
        if room is not None:
            most = min(most, room - queued)
        some, left = left[:most], left[most:]
        done = uploads.queue_analyses(some, lane, identity)
        queued += sum(analysis.created_at >= started for analysis in done)
        seen += len(done)
    return Queued(queued, seen - queued, len(left), found.more)


def tag(user: Owner, rows: QuerySet[Analysis], name: str) -> Changed:
    """Add a tag to the clips; raises like `notes.add_tag`."""
    if known := notes.named(user, name):
        rows = rows.exclude(CONDITIONS["tag"](known))
    found = selected(rows)
    return Changed(notes.add_tag(user, found.clips, name), found.more)


def untag(user: Owner, rows: QuerySet[Analysis], name: str) -> Changed:
    """Remove a tag from the clips; raises like `notes.remove_tag`."""
    known = notes.named(user, name)
    found = selected(rows.filter(CONDITIONS["tag"](known)) if known else rows.none())
    return Changed(notes.remove_tag(user, found.clips, name), found.more)


def delete(user: Owner, found: Selected) -> Changed:
    """Delete the clips with all their analyses and files, some hundred in each transaction."""
    for at in range(0, len(found.clips), deletion.CLIPS_AT_ONCE):
        some = found.clips[at : at + deletion.CLIPS_AT_ONCE]
        deletion.delete_clips(Clip.objects.for_owner(user).filter(pk__in=some))
    return Changed(len(found.clips), found.more)
