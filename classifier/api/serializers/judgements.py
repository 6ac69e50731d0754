"""Judgements ↔ JSON."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.base import Text, example
from classifier.models import Analysis, Event, judgement_of
from classifier.services.judgements import Precision

JUDGED: dict[str, Any] = {
    "label": "rooster",
    "right": False,
    "by": "anna",
    "judged_at": "2026-11-22T09:05:00Z",
}
WORDS = "What a person says that this is; null if nobody has said it."


@example({"label": "rooster"})
class Judge(Serializer):
    label = Text(  # type: ignore[assignment]
        allow_null=True,
        max_length=80,
        help_text="The right class, spelled exactly as in the checkpoint; null if it is none of "
        "the checkpoint's classes.",
    )


@example(JUDGED)
class Judgement(Serializer):
    label = fields.CharField(  # type: ignore[assignment]
        allow_null=True,
        help_text="The right class; null if it is none of the checkpoint's classes.",
    )
    right = fields.BooleanField(
        allow_null=True,
        help_text="Whether the answer agrees: it has this class, or it is not sure and this is "
        "none of the classes; null if the analysis is not done.",
    )
    by = fields.CharField(
        allow_null=True, help_text="Username of who said it; null if the account was deleted."
    )
    judged_at = fields.DateTimeField(help_text="Time of the judgement, UTC.")


def judgement_json(row: Analysis | Event) -> dict[str, Any] | None:
    """Return the judgement of an analysis's clip, or of an event; None without one."""
    said = row.judgement if isinstance(row, Analysis) else judgement_of(row)
    if said is None:
        return None
    values = {"label": said.label or None, "by": said.by, "judged_at": said.created_at}
    return dict(Judgement(values | {"right": row.right}).data)


class Instead(Serializer):
    label = fields.CharField(  # type: ignore[assignment]
        allow_null=True, help_text="The right class; null for none of the checkpoint's classes."
    )
    count = fields.IntegerField(help_text="Number of answers.")


class ClassPrecision(Serializer):
    """Serializes a `judgements.Precision`."""

    checkpoint = fields.CharField(help_text="The checkpoint that answered, as name@sha256.")
    of = fields.ChoiceField(
        choices=("clips", "events"),
        help_text="clips: answers for a clip as a whole. events: labels of events.",
    )
    label = fields.CharField(help_text="The answered class.")  # type: ignore[assignment]
    judged = fields.IntegerField(help_text="Number of answers that were judged.")
    right = fields.IntegerField(help_text="Number of them that were right.")
    precision = fields.FloatField(help_text="Share of the judged answers that were right, 0 to 1.")
    interval = fields.ListField(
        child=fields.FloatField(),
        help_text="The 95 % confidence interval of the precision (Wilson): low, high.",
    )
    instead = fields.SerializerMethodField(
        help_text="What the other answers should have been, most frequent first."
    )

    @extend_schema_field(Instead(many=True))
    def get_instead(self, one: Precision) -> list[dict[str, Any]]:
        return [{"label": label or None, "count": count} for label, count in one.instead.items()]


@example(
    {
        "results": [
            {
                "checkpoint": "esc50-folds1234@4f6a1c0d9b2e",
                "of": "clips",
                "label": "crow",
                "judged": 8,
                "right": 6,
                "precision": 0.75,
                "interval": [0.409, 0.929],
                "instead": [{"label": "rooster", "count": 2}],
            }
        ]
    }
)
class PrecisionList(Serializer):
    results = ClassPrecision(
        many=True,
        help_text="By kind, checkpoint and class. Answers that are not sure are left out.",
    )
