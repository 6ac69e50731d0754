"""Fields and serializers shared by several requests and responses."""

from typing import Any

from django.urls import reverse
from rest_framework import fields
from rest_framework.serializers import Serializer

CONFIDENCE = "Of that label, a share from 0 to 1; null until it is done."
LABEL = "What was heard; null until it is done."
SHAPE = "Height (frequency) and width (time), in cells."


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
    """A text in a request, kept with surrounding spaces; numbers are not accepted."""

    def __init__(self, *, trim_whitespace: bool = False, **options: Any) -> None:
        super().__init__(trim_whitespace=trim_whitespace, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class TextOrNull(fields.CharField):
    """A text column of a response; "" becomes null."""

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


class Asked(Serializer):
    """Which checkpoint shall listen."""

    # `schema.py` tells which there are to choose from.
    checkpoint = Text(
        required=False,
        allow_blank=True,
        max_length=120,
        help_text="Which installed checkpoint is to listen, by name or as name@sha256; "
        "the default one if empty or not given.",
    )


class Problem(Serializer):
    code = fields.CharField(help_text="One word for programs; it does not change.")
    detail = fields.CharField(help_text="One sentence for a person: what is wrong.")
    hint = fields.CharField(help_text="One sentence for a person: what to do about it.")


class Prediction(Serializer):
    # `class` is no name that Python lets a field have.
    def get_fields(self) -> dict[str, fields.Field]:
        return {
            "class": fields.CharField(help_text="The sound's label."),
            "confidence": fields.FloatField(help_text="Share from 0 to 1; all sum to 1."),
        }
