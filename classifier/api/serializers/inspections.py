"""Inspections ↔ JSON."""

from rest_framework import serializers

from classifier.api.serializers.clips import Problem, Text
from classifier.models import Inspection, InspectionKind, State
from classifier.services import inspections
from classifier.services.inspections import Question

# No clip has as many windows; a larger number is no number of a window.
MAX_WINDOWS = 1_000_000


class NewInspection(serializers.Serializer):
    kind = serializers.ChoiceField(
        choices=InspectionKind.values,
        help_text="sound: what spoke for a label, to be heard alone, and what is left without it. "
        "channels: every channel of a feature map. window: another window's maps.",
    )
    window = serializers.IntegerField(
        default=0,
        min_value=0,
        max_value=MAX_WINDOWS,
        help_text="Which window of the clip, from 0; each begins half a window after the last.",
    )

    label = Text(  # type: ignore[assignment]
        default="",
        allow_blank=True,
        max_length=80,
        trim_whitespace=False,
        help_text="For `sound`: one of the analysis' labels. Else empty.",
    )
    map = Text(
        default="",
        allow_blank=True,
        max_length=40,
        trim_whitespace=False,
        help_text="For `channels`: one of the analysis' `maps`. Else empty.",
    )

    def question(self) -> Question:
        """Of data that is valid."""
        asked = self.validated_data
        return Question(
            InspectionKind(asked["kind"]), asked["window"], asked["label"], asked["map"]
        )


class InspectionDetail(serializers.ModelSerializer):
    analysis = serializers.UUIDField(source="analysis_id", help_text="The analysis' id.")
    kind = serializers.ChoiceField(choices=InspectionKind.values, help_text="What is looked at.")
    state = serializers.ChoiceField(
        choices=State.values, help_text="queued → running → done or failed."
    )
    figures = serializers.DictField(
        child=serializers.JSONField(),
        help_text="What was found, see docs/api.md; empty until it is done. Probabilities are "
        "shares from 0 to 1, activations have no unit.",
    )
    files = serializers.SerializerMethodField(
        help_text="Name of each file and its address; empty until it is done."
    )
    created_at = serializers.DateTimeField(help_text="When it was queued, UTC.")
    finished_at = serializers.DateTimeField(
        allow_null=True, help_text="When it ended, UTC; null before."
    )
    error = Problem(allow_null=True, help_text="Why it failed; null unless it did.")

    class Meta:
        model = Inspection
        fields = (
            "id",
            "analysis",
            "kind",
            "window",
            "label",
            "map",
            "state",
            "figures",
            "files",
            "created_at",
            "finished_at",
            "error",
        )
        extra_kwargs = {
            "id": {"help_text": "The inspection's id."},
            "window": {"help_text": "Which window of the clip, from 0."},
            "label": {"help_text": "The label asked about; empty where there is none."},
            "map": {"help_text": "The map whose channels are shown; empty where there is none."},
        }

    def get_files(self, inspection: Inspection) -> dict[str, str]:
        return inspections.addresses(inspection)
