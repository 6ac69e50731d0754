"""What a list can be asked for. Whatever is not understood is refused, never ignored."""

from collections.abc import Callable
from typing import Any

from django.db.models import Q
from rest_framework import fields
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from classifier.api.paging import MAX_PAGE_ROWS
from classifier.api.serializers.base import validated
from classifier.models import Batch, BatchState, State, beside
from classifier.services.file_responses import AUDIO_TYPES


class Filters(Serializer):
    """`of` turns the values that were given into a queryset's condition."""

    lookups: dict[str, str | Callable[[Any], Q]] = {}

    cursor = fields.CharField(
        required=False, max_length=500, help_text="From `next` or `previous` of another page."
    )
    limit = fields.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_PAGE_ROWS,
        help_text=f"Rows on a page, 1 to {MAX_PAGE_ROWS}; 50 unless given.",
    )

    @classmethod
    def of(cls, request: Request) -> Q:
        """The condition of a request. Raises ValidationError."""
        given = request.query_params
        unknown = sorted(set(given) - set(cls().fields))
        if unknown:
            known = ", ".join(sorted(cls().fields))
            raise ValidationError({unknown[0][:100]: f"There is no such filter; known: {known}."})
        twice = [name for name in given if len(given.getlist(name)) > 1]
        if twice:
            raise ValidationError({twice[0]: "Give it once."})
        condition = Q()
        for name, value in validated(cls, given.dict()).items():
            lookup = cls.lookups.get(name)
            if isinstance(lookup, str):
                batch_leads = "batch" in given and "__" not in lookup
                condition &= (beside if batch_leads else Q)(**{lookup: value})
            elif lookup:
                condition &= lookup(value)
        return condition


def _batch_state(state: str) -> Q:
    return {
        BatchState.OPEN: Q(closed_at=None),
        BatchState.CLOSED: Q(cancelled_at=None) & ~Q(closed_at=None),
        BatchState.CANCELLED: ~Q(cancelled_at=None),
    }[BatchState(state)]


def _text(help_text: str, max_length: int = 100) -> fields.CharField:
    return fields.CharField(
        required=False, max_length=max_length, trim_whitespace=False, help_text=help_text
    )


class CreatedFilters(Filters):
    lookups = {
        "name": "name__icontains",
        "created_after": "created_at__gte",
        "created_before": "created_at__lt",
    }

    created_after = fields.DateTimeField(
        required=False, help_text="Made at or after this moment, ISO 8601: 2026-11-22T09:00:00Z"
    )
    created_before = fields.DateTimeField(
        required=False, help_text="Made before this moment, ISO 8601: 2026-11-23T09:00:00Z"
    )
    name = _text("Part of the clip's file name, upper or lower case.")


class BatchFilters(CreatedFilters):
    lookups = CreatedFilters.lookups | {"state": _batch_state}

    name = _text("Part of the batch's name, upper or lower case.")
    state = fields.ChoiceField(
        choices=BatchState.values, required=False, help_text="Where the batch is."
    )


class OfBatchFilters(CreatedFilters):
    batch = fields.UUIDField(
        required=False,
        help_text="Only what belongs to this batch of yours, what it knew from earlier included.",
    )

    @classmethod
    def batch_of(cls, request: Request) -> Batch | None:
        """The batch of a request that `of` has understood. Raises NotFound.

        An empty list would read as a batch without files.
        """
        asked = request.query_params.get("batch")
        if asked is None:
            return None
        batch = Batch.objects.for_owner(request.user).filter(pk=asked).first()
        if batch is None:
            raise NotFound(
                "There is no such batch, or it belongs to somebody else.", "no_such_batch"
            )
        return batch


class ClipFilters(OfBatchFilters):
    lookups = CreatedFilters.lookups | {"format": "format"}

    format = fields.ChoiceField(
        choices=sorted(AUDIO_TYPES), required=False, help_text="What the file turned out to be."
    )


class AnalysisFilters(OfBatchFilters):
    lookups = CreatedFilters.lookups | {
        "name": "clip__name__icontains",
        "clip": "clip_id",
        "label": "label",
        "min_confidence": "confidence__gte",
        "state": "state",
        "checkpoint": "checkpoint",
    }

    clip = fields.UUIDField(required=False, help_text="Only the analyses of this clip.")
    label = _text(  # type: ignore[assignment]
        "What was heard, exactly as the checkpoint calls it: chirping_birds", max_length=80
    )
    min_confidence = fields.FloatField(
        required=False,
        min_value=0,
        max_value=1,
        help_text="The label's confidence is at least this share, 0 to 1.",
    )
    state = fields.ChoiceField(
        choices=State.values, required=False, help_text="Where the analysis is."
    )
    checkpoint = _text(
        "The weights that listened, exactly as GET /api/v1/checkpoints/ names them.", max_length=120
    )
