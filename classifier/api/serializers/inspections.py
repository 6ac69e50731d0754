"""Inspections ↔ JSON."""

from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.base import Problem, Text
from classifier.links import inspection_files
from classifier.models import Inspection, InspectionKind, State

# No clip has as many windows; a larger number is no number of a window.
MAX_WINDOWS = 1_000_000


class NewInspection(Serializer):
    kind = fields.ChoiceField(
        choices=InspectionKind.values,
        help_text="sound: what spoke for a label, to be heard alone, and what is left without it. "
        "channels: every channel of a feature map. window: another window's maps.",
    )
    window = fields.IntegerField(
        default=0,
        min_value=0,
        max_value=MAX_WINDOWS,
        help_text="Which window of the clip, from 0; each begins half a window after the last.",
    )
    label = Text(  # type: ignore[assignment]
        default="",
        allow_blank=True,
        max_length=80,
        help_text="For `sound`: one of the analysis' labels. Else empty.",
    )
    map = Text(
        default="",
        allow_blank=True,
        max_length=40,
        help_text="For `channels`: one of the analysis' `maps`. Else empty.",
    )


class InspectionDetail(Serializer):
    id = fields.UUIDField(read_only=True, help_text="The inspection's id.")
    analysis = fields.UUIDField(source="analysis_id", help_text="The analysis' id.")
    kind = fields.ChoiceField(choices=InspectionKind.values, help_text="What is looked at.")
    window = fields.IntegerField(help_text="Which window of the clip, from 0.")
    label = fields.CharField(  # type: ignore[assignment]
        help_text="The label asked about; empty where there is none."
    )
    map = fields.CharField(help_text="The map whose channels are shown; empty where there is none.")
    state = fields.ChoiceField(choices=State.values, help_text="queued → running → done or failed.")
    figures = fields.DictField(
        child=fields.JSONField(),
        help_text="What was found, see docs/api.md; empty until it is done. Probabilities are "
        "shares from 0 to 1, activations have no unit.",
    )
    files = fields.SerializerMethodField(
        help_text="Name of each file and its address; empty until it is done."
    )
    created_at = fields.DateTimeField(help_text="When it was queued, UTC.")
    finished_at = fields.DateTimeField(
        allow_null=True, help_text="When it ended, UTC; null before."
    )
    error = Problem(allow_null=True, help_text="Why it failed; null unless it did.")

    def get_files(self, inspection: Inspection) -> dict[str, str]:
        return inspection_files(inspection)
