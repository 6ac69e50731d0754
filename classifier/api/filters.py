"""What a list can be asked for. Whatever is not understood is refused, never ignored."""

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from classifier.api.paging import MOST_PAGE_ROWS
from classifier.media import AUDIO_TYPES
from classifier.models import State


class Filters(serializers.Serializer):
    """`conditions` turns the values that were given into a queryset's conditions."""

    lookups: dict[str, str] = {}

    cursor = serializers.CharField(
        required=False, max_length=500, help_text="From `next` or `previous` of another page."
    )
    limit = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_PAGE_ROWS,
        help_text=f"Rows on a page, 1 to {MOST_PAGE_ROWS}; 50 unless given.",
    )

    @classmethod
    def of(cls, request: Request) -> dict[str, Any]:
        """The conditions of a request. Raises ValidationError."""
        given = request.query_params
        unknown = sorted(set(given) - set(cls().fields))
        if unknown:
            known = ", ".join(sorted(cls().fields))
            raise ValidationError({unknown[0][:100]: f"There is no such filter; known: {known}."})
        twice = [name for name in given if len(given.getlist(name)) > 1]
        if twice:
            raise ValidationError({twice[0]: "Give it once."})
        form = cls(data=given.dict())
        form.is_valid(raise_exception=True)
        return {
            cls.lookups[name]: value
            for name, value in form.validated_data.items()
            if name in cls.lookups
        }


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


class ClipFilters(CreatedFilters):
    lookups = {
        "name": "name__icontains",
        "format": "format",
        "created_after": "created_at__gte",
        "created_before": "created_at__lt",
    }

    format = serializers.ChoiceField(
        choices=sorted(AUDIO_TYPES), required=False, help_text="What the file turned out to be."
    )


class AnalysisFilters(CreatedFilters):
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
