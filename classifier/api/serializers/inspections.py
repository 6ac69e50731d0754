"""Inspections ↔ JSON."""

from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.analyses import ANALYSIS_ID
from classifier.api.serializers.base import Problem, Text, example
from classifier.links import inspection_files
from classifier.models import Inspection, InspectionKind, State

# More windows than any clip has.
MAX_WINDOWS = 1_000_000


@example({"kind": "explanation", "window": 0, "label": "chirping_birds"})
class CreateInspection(Serializer):
    kind = fields.ChoiceField(
        choices=InspectionKind.values,
        help_text="explanation: what the prediction of a class is based on, as picture and sound, "
        "with a verdict, and the channels that contributed most to it. refined: the same, "
        "optimised for this window, which takes seconds. "
        "channels: every channel of one feature map. window: the feature maps of another window. "
        "sounds: the sound of each event of the recording. "
        "tile: a part of the spectrogram of a long recording, with narrower columns.",
    )
    window = fields.IntegerField(
        default=0,
        min_value=0,
        max_value=MAX_WINDOWS,
        help_text="Index of the window, from 0; windows overlap by half. For `tile`: of the tile.",
    )
    label = Text(  # type: ignore[assignment]
        default="",
        allow_blank=True,
        max_length=80,
        help_text="For `explanation` and `refined`: the class; otherwise empty.",
    )
    map = Text(
        default="",
        allow_blank=True,
        max_length=40,
        help_text="For `channels`: the name of a feature map; for `tile`: the level, `medium` or "
        "`fine`; otherwise empty.",
    )


@example(
    {
        "id": "0b9c3f52-6c1e-4b6b-9d51-3f0d2f4f8a11",
        "analysis": ANALYSIS_ID,
        "kind": "explanation",
        "window": 0,
        "label": "chirping_birds",
        "map": "",
        "state": "queued",
        "figures": {},
        "files": {},
        "created_at": "2026-11-22T09:00:00Z",
        "finished_at": None,
        "error": None,
    }
)
class InspectionDetail(Serializer):
    id = fields.UUIDField(read_only=True, help_text="Inspection id.")
    analysis = fields.UUIDField(source="analysis_id", help_text="Analysis id.")
    kind = fields.ChoiceField(choices=InspectionKind.values, help_text="Kind of inspection.")
    window = fields.IntegerField(help_text="Index of the window or tile, from 0.")
    label = fields.CharField(  # type: ignore[assignment]
        help_text="The class, for `explanation` and `refined`; otherwise empty."
    )
    map = fields.CharField(
        help_text="The feature map, for `channels`; the level, for `tile`; otherwise empty."
    )
    state = fields.ChoiceField(choices=State.values, help_text="queued → running → done or failed.")
    figures = fields.DictField(
        child=fields.JSONField(),
        help_text="Measurements, described in docs/api.md; empty until the inspection is done. "
        "Probabilities range from 0 to 1; activations have no unit.",
    )
    files = fields.SerializerMethodField(
        help_text="URL of each file by name; empty until the inspection is done."
    )
    created_at = fields.DateTimeField(help_text="Time of the request, UTC.")
    finished_at = fields.DateTimeField(
        allow_null=True, help_text="Time when it finished, UTC; null until then."
    )
    error = Problem(allow_null=True, help_text="Why the inspection failed; null unless it failed.")

    def get_files(self, inspection: Inspection) -> dict[str, str]:
        return inspection_files(inspection)
