"""Events → JSON."""

from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema_field,
)
from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.analyses import ANALYSIS_ID
from classifier.api.serializers.base import example
from classifier.api.serializers.judgements import WORDS, Judgement, judgement_json
from classifier.models import Event

EVENT = {
    "label": "siren",
    "start_s": 12.5,
    "end_s": 15.0,
    "confidence": 0.977,
    "peak_s": 13.75,
    "low_hz": 600.0,
    "high_hz": 1900.0,
    "starts_at": "2026-11-22T05:30:12.500+01:00",
}
EXPORTED = EVENT | {"judged_label": None, "judged_by": None, "judged_at": None}
RECORDING = {
    "file": "morning/street.wav",
    "duration_s": 542.0,
    "sample_rate": 48000,
    "recorded_at": "2026-11-22T05:30:00+01:00",
    "analysis": ANALYSIS_ID,
    "checkpoint": "esc50-folds1234@4f6a1c0d9b2e",
    "events": [EXPORTED],
}


class EventFields(Serializer):
    label = fields.CharField(help_text="The label, a class name.")  # type: ignore[assignment]
    start_s = fields.FloatField(help_text="Start in seconds from the start of the recording.")
    end_s = fields.FloatField(help_text="End in seconds from the start of the recording.")
    confidence = fields.FloatField(help_text="The highest score in the span, 0 to 1.")
    peak_s = fields.FloatField(help_text="Where the score is highest, in seconds.")
    low_hz = fields.FloatField(
        allow_null=True, help_text="Lower end of its frequencies in Hz; null if not known."
    )
    high_hz = fields.FloatField(
        allow_null=True, help_text="Upper end of its frequencies in Hz; null if not known."
    )
    starts_at = fields.CharField(
        allow_null=True,
        help_text="Clock time of the start in ISO 8601, without an offset if the zone of the "
        "recording is not known; null if its time is not known.",
    )


@example(EXPORTED)
class ExportedEvent(EventFields):
    judged_label = fields.CharField(
        allow_null=True,
        help_text="The right class, as a person says; null if nobody has said it, or if it is none "
        "of the checkpoint's classes.",
    )
    judged_by = fields.CharField(
        allow_null=True,
        help_text="Username of who said it; null if nobody has, or the account was deleted.",
    )
    judged_at = fields.DateTimeField(
        allow_null=True, help_text="Time of the judgement, UTC; null if nobody has said it."
    )


class EventSummary(EventFields):
    """An event of a stored analysis, whose clip the view passes as `context["clip"]`."""

    id = fields.IntegerField(read_only=True, help_text="Event id.")
    starts_at = fields.SerializerMethodField(  # type: ignore[assignment]
        help_text=EventFields().fields["starts_at"].help_text or ""
    )
    judgement = fields.SerializerMethodField(help_text=WORDS)

    @extend_schema_field(Judgement(allow_null=True))
    def get_judgement(self, event: Event) -> dict[str, Any] | None:
        return judgement_json(event)

    def get_starts_at(self, event: Event) -> str | None:
        starts_at = self.context["clip"].clock_time(event.start_s)
        return starts_at.isoformat(timespec="milliseconds") if starts_at else None


PAGE = {"next": None, "previous": None, "results": [{"id": 1, **EVENT, "judgement": None}]}


@example(PAGE)
class EventPage(Serializer):
    next = fields.URLField(
        allow_null=True, help_text="URL of the page with later events; null on the last page."
    )
    previous = fields.URLField(
        allow_null=True, help_text="URL of the page with earlier events; null on the first page."
    )
    results = EventSummary(many=True, help_text="The events on this page, by start.")


@example(RECORDING)
class ExportedRecording(Serializer):
    file = fields.CharField(help_text="File name, or path in the batch.")
    duration_s = fields.FloatField(help_text="Duration in seconds.")
    sample_rate = fields.IntegerField(help_text="Sample rate of the file in Hz.")
    recorded_at = fields.CharField(
        allow_null=True, help_text="Clock time of the start of the recording; null if not known."
    )
    analysis = fields.UUIDField(help_text="Analysis id.")
    checkpoint = fields.CharField(help_text="The checkpoint used, as name@sha256.")
    events = ExportedEvent(many=True, help_text="The events by start.")


@example({"recordings": [RECORDING]})
class EventExport(Serializer):
    recordings = ExportedRecording(
        many=True, help_text="Every recording whose analysis is done, also those without events."
    )


# drf-spectacular takes no examples from the serializers that it chooses from.
PAGE_OR_EXPORT = OpenApiResponse(
    PolymorphicProxySerializer(
        "EventPageOrExport", [EventPage, EventExport], resource_type_field_name=None
    ),
    examples=[OpenApiExample("Example", value=PAGE, status_codes=["200"])],
)
