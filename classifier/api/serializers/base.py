"""Fields and serializers shared by several requests and responses."""

from collections.abc import Callable, Mapping
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import fields
from rest_framework.serializers import Serializer

CONFIDENCE = "Probability of the top class, 0 to 1; null until the analysis is done."
NOTICES = (
    "What was changed or left out when the file was decoded; empty if nothing was, and until then."
)
LABEL = "The top class; null until the analysis is done."
FOLDER = "The folder that the file was in, inside the folder of its batch; null if there is none."
TAGS = "Tags of the clip."
SHAPE = "Height (frequency) and width (time) in cells."


def example(value: Mapping[str, Any]) -> Callable[[type[Serializer]], type[Serializer]]:
    """Document a serializer with an example, shown with each request or response that uses it."""
    shown = OpenApiExample("Example", value=dict(value), status_codes=["200", "201", "202"])
    return extend_schema_serializer(examples=[shown])


def validated(form: type[Serializer], data: Any) -> dict[str, Any]:
    """Return the validated data.

    Raises
    ------
    ValidationError
        The data does not fit the serializer.
    """
    filled = form(data=data)
    filled.is_valid(raise_exception=True)
    return filled.validated_data


# --- fields -------------------------------------------------------------------------------


class Text(fields.CharField):
    """A string in a request. Surrounding spaces are kept; numbers are not accepted."""

    def __init__(self, *, trim_whitespace: bool = False, **options: Any) -> None:
        super().__init__(trim_whitespace=trim_whitespace, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class TextOrNull(fields.CharField):
    """A string in a response; "" becomes null."""

    def __init__(self, **options: Any) -> None:
        super().__init__(read_only=True, allow_null=True, **options)

    def get_attribute(self, row: Any) -> str | None:
        return super().get_attribute(row) or None


class Address(fields.CharField):
    """The URL named `pattern` for the key in the field's source."""

    def __init__(self, pattern: str, **options: Any) -> None:
        super().__init__(read_only=True, **options)
        self.pattern = pattern

    def to_representation(self, value: Any) -> str:
        return reverse(self.pattern, args=[value])


# --- parts --------------------------------------------------------------------------------


@example({"checkpoint": ""})
class CheckpointChoice(Serializer):
    """The checkpoint to analyse with."""

    # `schema.complete` lists the choices.
    checkpoint = Text(
        required=False,
        allow_blank=True,
        max_length=120,
        help_text="The installed checkpoint to use, by name or as name@sha256; the default "
        "checkpoint if empty or omitted.",
    )


class Problem(Serializer):
    code = fields.CharField(help_text="Stable, machine-readable error code.")
    detail = fields.CharField(help_text="What is wrong, in one sentence.")
    hint = fields.CharField(help_text="What to do about it, in one sentence.")


class Notice(Serializer):
    code = fields.CharField(help_text="Stable, machine-readable code.")
    detail = fields.CharField(help_text="What was done with the file, in one sentence.")


class Prediction(Serializer):
    # `class` is a reserved word, so it cannot be a class attribute.
    def get_fields(self) -> dict[str, fields.Field]:
        return {
            "class": fields.CharField(help_text="Class name."),
            "confidence": fields.FloatField(
                help_text="Probability, 0 to 1; the probabilities of all classes sum to 1."
            ),
        }
