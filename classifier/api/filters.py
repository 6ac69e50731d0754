"""Filters of the API's lists. Unknown filters and values are rejected."""

from datetime import datetime
from typing import Any

from django.db.models import Q
from rest_framework import fields
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from classifier.api.paging import MAX_PAGE_ROWS, PAGE_ROWS
from classifier.api.serializers.base import Text, validated
from classifier.models import (
    MAX_FOLDER_CHARACTERS,
    MAX_TAG_CHARACTERS,
    Batch,
    BatchState,
    Judged,
    State,
    Tag,
    beside,
)
from classifier.models.history import DEFAULT_SORT, SORTS
from classifier.services.batches import MAX_PATH_CHARACTERS
from classifier.services.exports.formats import Format
from classifier.services.file_responses import AUDIO_TYPES
from classifier.services.notes import named
from ml.notices import SENTENCES

# Handled by pagination or by the view.
NO_LOOKUPS = {"cursor", "limit", "batch", "in_folder", "of_tag", "export"}
# The lookups of an analysis's events start with this.
EVENTS = "events__"
MAX_LENGTH_S = 1_000_000
MIN_LENGTH = "Minimum duration of the clip in seconds."
MAX_LENGTH = "Maximum duration of the clip in seconds."
FOLDER = (
    "Folder that the file was in when it was uploaded, inside the folder of its batch, with the "
    "folders in it; case-insensitive. With `batch`, the folder in that batch."
)
TAG = "One of the clip's tags, case-insensitive."


class Filters(Serializer):
    """Query parameters of a list; `of` turns them into a queryset condition.

    A field's `source` is its queryset lookup.
    """

    def get_fields(self) -> dict[str, fields.Field]:
        found = super().get_fields()
        for field in found.values():
            field.required = False
        return found

    @classmethod
    def of(cls, request: Request) -> Q:
        """Return the condition of a request.

        Raises
        ------
        ValidationError
            A filter is unknown, given twice, or has an invalid value.
        """
        condition = Q()
        for lookup, value in cls.lookups(request).items():
            if isinstance(value, Q):
                condition &= value
            elif lookup not in NO_LOOKUPS and not lookup.startswith(EVENTS):
                batch_leads = "batch" in request.query_params and "__" not in lookup
                condition &= (beside if batch_leads else Q)(**{lookup: value})
        return condition

    @classmethod
    def lookups(cls, request: Request) -> dict[str, Any]:
        """Return the values of a request by the sources of their fields; raises like `of`."""
        given = request.query_params
        unknown = sorted(set(given) - set(cls().fields))
        if unknown:
            known = ", ".join(sorted(cls().fields))
            raise ValidationError({unknown[0][:100]: f"Unknown filter; use one of: {known}."})
        twice = [name for name in given if len(given.getlist(name)) > 1]
        if twice:
            raise ValidationError(
                {twice[0]: "This filter was given more than once; send it only once."}
            )
        return validated(cls, given.dict())


class PageFilters(Filters):
    cursor = fields.CharField(
        max_length=500, help_text="Cursor from the `next` or `previous` URL of a page."
    )
    limit = fields.IntegerField(
        min_value=1,
        max_value=MAX_PAGE_ROWS,
        help_text=f"Rows per page, 1 to {MAX_PAGE_ROWS}; default {PAGE_ROWS}.",
    )


class BatchStateField(fields.ChoiceField):
    """A batch state as a query condition; no column holds the state."""

    def to_internal_value(self, data: Any) -> Q:  # type: ignore[override]
        return {
            BatchState.OPEN: Q(closed_at=None),
            BatchState.CLOSED: Q(cancelled_at=None) & ~Q(closed_at=None),
            BatchState.CANCELLED: ~Q(cancelled_at=None),
        }[BatchState(super().to_internal_value(data))]


class TimeField(fields.DateTimeField):
    """A time in a URL, where a `+` that is not encoded is a space."""

    def to_internal_value(self, value: Any) -> datetime:
        try:
            return super().to_internal_value(value)
        except ValidationError as error:
            # The first 11 characters are the date and its separator, which may be a space.
            if isinstance(value, str) and " " in value[11:]:
                zone = value[11:].replace(" ", "%2B")
                raise ValidationError(
                    f"In a URL, + means a space. Write + as %2B: {value[:11]}{zone}"
                ) from error
            raise


class DateFilters(Filters):
    created_after = TimeField(
        source="created_at__gte",
        help_text="Created at or after this time, in ISO 8601 format, such as "
        "2026-11-22T09:00:00Z. In a URL, write + as %2B.",
    )
    created_before = TimeField(
        source="created_at__lt",
        help_text="Created before this time, in ISO 8601 format, such as 2026-11-23T09:00:00Z. "
        "In a URL, write + as %2B.",
    )


class CreatedFilters(PageFilters, DateFilters):
    name = Text(
        source="name__icontains",
        max_length=100,
        help_text="Part of the clip's file name, case-insensitive.",
    )


class BatchFilters(CreatedFilters):
    name = Text(
        source="name__icontains",
        max_length=100,
        help_text="Part of the batch's name, case-insensitive.",
    )
    state = BatchStateField(choices=BatchState.values, help_text="State of the batch.")


class FolderFilters(Filters):
    parent = Text(  # type: ignore[assignment]
        max_length=MAX_PATH_CHARACTERS,
        help_text="Path of the folder whose folders are listed; without it, the outermost ones.",
    )
    after = Text(
        max_length=MAX_PATH_CHARACTERS,
        help_text="Only folders after this path in the order of the list.",
    )
    limit = fields.IntegerField(
        min_value=1,
        max_value=MAX_PAGE_ROWS,
        help_text=f"Folders to list, 1 to {MAX_PAGE_ROWS}; default {PAGE_ROWS}.",
    )


class InBatchFilters(Filters):
    batch = fields.UUIDField(
        help_text="Only items of this batch, including the earlier uploads that its duplicates are "
        "linked to.",
    )

    @classmethod
    def batch_of(cls, request: Request) -> Batch | None:
        """Return the batch that the request names; None if it names none. Call `of` first.

        Raises
        ------
        NotFound
            The user has no such batch; an empty list would look like a batch without files.
        """
        asked = request.query_params.get("batch")
        if asked is None:
            return None
        batch = Batch.objects.for_owner(request.user).filter(pk=asked).first()
        if batch is None:
            raise NotFound("This batch does not exist or belongs to another user.", "no_such_batch")
        return batch


class LengthFilters(Filters):
    min_length = fields.FloatField(
        source="duration_s__gte", min_value=0, max_value=MAX_LENGTH_S, help_text=MIN_LENGTH
    )
    max_length = fields.FloatField(
        source="duration_s__lte", min_value=0, max_value=MAX_LENGTH_S, help_text=MAX_LENGTH
    )


class ClipFilters(CreatedFilters, InBatchFilters, LengthFilters):
    format = fields.ChoiceField(choices=sorted(AUDIO_TYPES), help_text="Detected audio format.")
    folder = Text(source="in_folder", max_length=MAX_FOLDER_CHARACTERS - 1, help_text=FOLDER)
    tag = Text(source="of_tag", max_length=MAX_TAG_CHARACTERS, help_text=TAG)

    @classmethod
    def tag_of(cls, request: Request) -> Tag | None:
        """Return the tag that the request names; None if it names none; raises as `_tag_of`."""
        asked = cls.lookups(request).get("of_tag")
        return _tag_of(request, asked) if asked else None


def _tag_of(request: Request, name: str) -> Tag:
    """Return the user's tag of this name. Raises NotFound: an empty list would hide the mistake."""
    tag = named(request.user, name)
    if tag is None:
        raise NotFound("You have no tag of this name.", "no_such_tag")
    return tag


class OfAnalysisFilters(InBatchFilters):
    """The filters of analyses, apart from those of the top class.

    A field's `source` is its filter in `models.history`.
    """

    created_after = TimeField(help_text=DateFilters().fields["created_after"].help_text)
    created_before = TimeField(help_text=DateFilters().fields["created_before"].help_text)
    name = Text(max_length=100, help_text="Part of the clip's file name, case-insensitive.")
    clip = fields.UUIDField(help_text="Only analyses of this clip.")
    state = fields.ChoiceField(choices=State.values, help_text="State of the analysis.")
    judged = fields.ChoiceField(
        choices=Judged.values,
        help_text="Only analyses whose clip was judged: finished ones that were `right` or "
        "`wrong`, any (`judged`), or those not judged (`not_judged`).",
    )
    checkpoint = Text(
        max_length=120,
        help_text="Checkpoint, exactly as listed by GET /api/v1/checkpoints/.",
    )
    folder = Text(max_length=MAX_FOLDER_CHARACTERS - 1, help_text=FOLDER)
    min_length = fields.FloatField(min_value=0, max_value=MAX_LENGTH_S, help_text=MIN_LENGTH)
    max_length = fields.FloatField(min_value=0, max_value=MAX_LENGTH_S, help_text=MAX_LENGTH)
    notice = fields.ChoiceField(choices=sorted(SENTENCES), help_text="Code of one of the notices.")
    tag = Text(max_length=MAX_TAG_CHARACTERS, help_text=TAG)

    @classmethod
    def values_of(cls, request: Request) -> dict[str, Any]:
        """Return the filters of a request, as `AnalysisQuerySet.matching` takes them.

        Raises
        ------
        ValidationError
            As `of` raises it.
        NotFound
            The user has no such tag or batch.
        """
        found = cls.lookups(request)
        values: dict[str, Any] = {
            name: value
            for name, value in found.items()
            if name not in NO_LOOKUPS and not name.startswith(EVENTS)
        }
        if "tag" in values:
            values["tag"] = _tag_of(request, values["tag"])
        return values | {"batch": cls.batch_of(request)}


class AnalysisFilters(OfAnalysisFilters):
    label = Text(  # type: ignore[assignment]
        max_length=80,
        help_text="Top class, spelled exactly as in the checkpoint, for example chirping_birds",
    )
    min_confidence = fields.FloatField(
        min_value=0,
        max_value=1,
        help_text="Minimum probability of the top class, 0 to 1.",
    )
    max_confidence = fields.FloatField(
        min_value=0,
        max_value=1,
        help_text="Maximum probability of the top class, 0 to 1.",
    )
    sort = fields.ChoiceField(
        choices=list(SORTS),
        help_text=f"Order of the rows; default {DEFAULT_SORT}. confidence and length start with "
        "the largest value, least_confident with the smallest confidence; they leave out analyses "
        "that have none yet.",
    )


class AnalysisPageFilters(PageFilters, AnalysisFilters):
    pass


class EventFilters(Filters):
    """The filters of events, and the format of an export."""

    label = Text(  # type: ignore[assignment]
        source=f"{EVENTS}label",
        max_length=80,
        help_text="Label of the event, spelled exactly as in the checkpoint.",
    )
    min_confidence = fields.FloatField(
        source=f"{EVENTS}confidence__gte",
        min_value=0,
        max_value=1,
        help_text="Minimum confidence of the event, 0 to 1.",
    )
    format = fields.ChoiceField(
        source="export", choices=[one.value for one in Format], help_text="Format of the export."
    )

    @classmethod
    def events_of(cls, request: Request) -> Q:
        """Return the condition of events; raises like `of`."""
        found = cls.lookups(request).items()
        of_events = [item for item in found if item[0].startswith(EVENTS)]
        return Q(**{lookup.removeprefix(EVENTS): value for lookup, value in of_events})

    @classmethod
    def format_of(cls, request: Request) -> Format | None:
        """Return the requested format, None if there is none; raises like `of`."""
        asked = cls.lookups(request).get("export")
        return Format(asked) if asked else None


class EventPageFilters(PageFilters, EventFilters):
    pass


class HistoryEventFilters(OfAnalysisFilters, EventFilters):
    top_label = Text(source="label", max_length=80, help_text="Top class of the analysis.")
    min_top_confidence = fields.FloatField(
        source="min_confidence",
        min_value=0,
        max_value=1,
        help_text="Minimum probability of the top class of the analysis, 0 to 1.",
    )
    max_top_confidence = fields.FloatField(
        source="max_confidence",
        min_value=0,
        max_value=1,
        help_text="Maximum probability of the top class of the analysis, 0 to 1.",
    )
