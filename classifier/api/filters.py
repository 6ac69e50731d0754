"""What a list can be asked for. Whatever is not understood is refused, never ignored."""

from collections.abc import Callable
from typing import Any

from django.db.models import Q
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request

from classifier.api.paging import MAX_PAGE_ROWS
from classifier.api.serializers.base import validated
from classifier.models import Batch, BatchState, State, beside
from classifier.services.file_responses import AUDIO_TYPES


class Filters(serializers.Serializer):
    """`of` turns the values that were given into a queryset's condition."""

    lookups: dict[str, str | Callable[[Any], Q]] = {}

    cursor = serializers.CharField(
        required=False, max_length=500, help_text="From `next` or `previous` of another page."
    )
    limit = serializers.IntegerField(
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


class CreatedFilters(Filters):
    created_after = serializers.DateTimeField(
        required=False, help_text="Made at or after this moment, ISO 8601: 2026-11-22T09:00:00Z"
    )
    created_before = serializers.DateTimeField(
        required=False, help_text="Made before this moment, ISO 8601: 2026-11-23T09:00:00Z"
    )
    name = serializers.CharField(
        required=False,
        max_length=100,
        trim_whitespace=False,
        help_text="Part of the clip's file name, upper or lower case.",
    )


class BatchFilters(CreatedFilters):
    lookups = {
        "name": "name__icontains",
        "state": _batch_state,
        "created_after": "created_at__gte",
        "created_before": "created_at__lt",
    }

    name = serializers.CharField(
        required=False,
        max_length=100,
        trim_whitespace=False,
        help_text="Part of the batch's name, upper or lower case.",
    )
    state = serializers.ChoiceField(
        choices=BatchState.values, required=False, help_text="Where the batch is."
    )


class OfBatchFilters(CreatedFilters):
    batch = serializers.UUIDField(
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
    lookups = {
        "name": "name__icontains",
        "format": "format",
        "created_after": "created_at__gte",
        "created_before": "created_at__lt",
    }

    format = serializers.ChoiceField(
        choices=sorted(AUDIO_TYPES), required=False, help_text="What the file turned out to be."
    )


class AnalysisFilters(OfBatchFilters):
    lookups = {
        "name": "clip__name__icontains",
        "clip": "clip_id",
        "label": "label",
        "min_confidence": "confidence__gte",
        "state": "state",
        "checkpoint": "checkpoint",
        "created_after": "created_at__gte",
        "created_before": "created_at__lt",
    }

    clip = serializers.UUIDField(required=False, help_text="Only the analyses of this clip.")
    label = serializers.CharField(  # type: ignore[assignment]
        required=False,
        max_length=80,
        trim_whitespace=False,
        help_text="What was heard, exactly as the checkpoint calls it: chirping_birds",
    )
    min_confidence = serializers.FloatField(
        required=False,
        min_value=0,
        max_value=1,
        help_text="The label's confidence is at least this share, 0 to 1.",
    )
    state = serializers.ChoiceField(
        choices=State.values, required=False, help_text="Where the analysis is."
    )
    checkpoint = serializers.CharField(
        required=False,
        max_length=120,
        trim_whitespace=False,
        help_text="The weights that listened, exactly as GET /api/v1/checkpoints/ names them.",
    )
