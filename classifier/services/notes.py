"""What users say about their clips: tags and a note."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Lower

from classifier.models import (
    MAX_NOTE_CHARACTERS,
    MAX_TAG_CHARACTERS,
    MAX_TAGS,
    Analysis,
    Clip,
    Owner,
    Tag,
    tag_words,
)
from classifier.services.problems import refusal

MAX_TAGS_OF_A_USER = 500
CLIPS_AT_ONCE = 500
ClipTag = Clip.tags.through


def set_note(clip: Clip, text: str) -> None:
    """Set the note of a clip.

    Raises
    ------
    RequestRefused
        The note is too long (400).
    """
    text = text.replace("\r\n", "\n").strip()
    if len(text) > MAX_NOTE_CHARACTERS:
        raise refusal(
            "note_too_long",
            f"The note has {len(text):,} characters; at most {MAX_NOTE_CHARACTERS:,} are allowed.",
            "Shorten the note.",
        )
    clip.note = text
    clip.save(update_fields=["note"])


def set_tags(clip: Clip, names: Sequence[str]) -> None:
    """Replace the tags of a clip. Tags that no clip has any more are deleted.

    Raises
    ------
    RequestRefused
        A name is not one, or there are too many (400).
    """
    wanted = dict.fromkeys(map(tag_name, names))
    if len(wanted) > MAX_TAGS:
        raise refusal("too_many_tags", f"A clip has at most {MAX_TAGS} tags.", "Leave some out.")
    with transaction.atomic():
        _lock(clip.owner_id, [clip.pk])
        tags = {_tag(clip.owner_id, name).pk for name in wanted}
        links = ClipTag.objects.filter(clip=clip)
        links.exclude(tag__in=tags).delete()
        missing = tags - set(links.values_list("tag", flat=True))
        ClipTag.objects.bulk_create(ClipTag(clip_id=clip.pk, tag_id=pk) for pk in sorted(missing))
        _copy([clip.pk])
        delete_unused(clip.owner_id)


def add_tag(user: Owner, clips: Sequence[Any], name: str) -> int:
    """Add a tag to clips, given by their keys, and return how many did not have it.

    Clips that have the largest number of tags already are left out.

    Raises
    ------
    RequestRefused
        The name is not one, or the user has too many tags (400).
    """
    name, added = tag_name(name), 0
    for some in _groups(clips):
        with transaction.atomic():
            _lock(user.pk, some)
            tag = _tag(user.pk, name)
            tags = _tags_of(Clip.objects.filter(owner=user.pk, pk__in=some))
            fresh = [pk for pk, had in tags.items() if tag.pk not in had and len(had) < MAX_TAGS]
            ClipTag.objects.bulk_create(ClipTag(clip_id=pk, tag_id=tag.pk) for pk in fresh)
            _copy(fresh)
        added += len(fresh)
    return added


def remove_tag(user: Owner, clips: Sequence[Any], name: str) -> int:
    """Remove a tag from clips, given by their keys, and return how many had it."""
    removed = 0
    tag = named(user, name)
    for some in _groups(clips) if tag else ():
        with transaction.atomic():
            _lock(user.pk, some)
            links = ClipTag.objects.filter(tag=tag, clip__in=some, clip__owner=user.pk)
            had = list(links.values_list("clip", flat=True))
            links.delete()
            _copy(had)
        removed += len(had)
    delete_unused(user.pk)
    return removed


def delete_unused(owner_id: Any) -> None:
    """Delete the tags of an owner that no clip has any more."""
    with transaction.atomic():
        _lock_owner(owner_id)
        Tag.objects.filter(owner=owner_id, clips=None).delete()


def named(user: Owner, name: str) -> Tag | None:
    """Return the user's tag of that name; raises like `tag_name`."""
    return _named(user.pk, tag_name(name)).first()


def tag_name(text: str) -> str:
    """Return the name of a tag, without spaces around it.

    Raises
    ------
    RequestRefused
        It is empty or too long, or contains a comma or a control character (400).
    """
    name = " ".join(text.split())
    if not name or len(name) > MAX_TAG_CHARACTERS or "," in name or not name.isprintable():
        raise refusal(
            "invalid_tag",
            f"{name[:MAX_TAG_CHARACTERS]!r} is not a tag.",
            f"A tag has 1 to {MAX_TAG_CHARACTERS} characters, and no comma.",
        )
    return name


def _groups(clips: Sequence[Any]) -> list[Sequence[Any]]:
    return [clips[at : at + CLIPS_AT_ONCE] for at in range(0, len(clips), CLIPS_AT_ONCE)]


def _lock(owner_id: Any, clips: Sequence[Any]) -> None:
    """Lock the owner, so that tags change one after the other, and the analyses of the clips.

    Analyses before clips, and in this order, like every transaction that locks several rows.
    """
    _lock_owner(owner_id)
    analyses = Analysis.objects.filter(clip__in=clips).order_by("pk")
    list(analyses.select_for_update(of=("self",)).values_list("pk"))


def _lock_owner(owner_id: Any) -> None:
    get_user_model().objects.select_for_update(no_key=True).filter(pk=owner_id).first()


def _named(owner_id: Any, name: str) -> QuerySet[Tag]:
    # As the constraint compares them.
    return Tag.objects.alias(lower=Lower("name")).filter(owner=owner_id, lower=Lower(Value(name)))


def _tag(owner_id: Any, name: str) -> Tag:
    if found := _named(owner_id, name).first():
        return found
    if Tag.objects.filter(owner=owner_id).count() >= MAX_TAGS_OF_A_USER:
        raise refusal(
            "too_many_tags",
            f"You have {MAX_TAGS_OF_A_USER} different tags already.",
            "Use one of them, or remove a tag from all its sounds.",
        )
    return Tag.objects.create(owner_id=owner_id, name=name)


def _tags_of(clips: Any) -> dict[Any, set[int]]:
    found: dict[Any, set[int]] = {pk: set() for pk in clips.values_list("pk", flat=True)}
    links = ClipTag.objects.filter(clip__in=list(found))
    for clip, tag in links.values_list("clip", "tag"):
        found[clip].add(tag)
    return found


def _copy(clips: Sequence[Any]) -> None:
    """Copy the tags of the clips to their analyses."""
    same: dict[str | None, list[Any]] = defaultdict(list)
    for pk, tags in _tags_of(Clip.objects.filter(pk__in=clips)).items():
        same[tag_words(tags)].append(pk)
    for text, some in same.items():
        Analysis.objects.filter(clip__in=some).update(clip_tags=text)
