"""Batches ↔ JSON. The input is the plain values of `exports.batch_files`."""

from typing import Any
from uuid import UUID

from django.db.models import Choices
from rest_framework import fields
from rest_framework.fields import Field
from rest_framework.serializers import Serializer

from classifier.api.serializers.base import Asked, Prediction, Problem, Text
from classifier.models import BatchState, FileOutcome
from classifier.services import batches
from classifier.services.exports import batch_files

# --- what is sent -------------------------------------------------------------------------


class NewBatch(Asked):
    name = Text(
        max_length=255,
        help_text="What you will know it by, usually the folder's name; up to 255 characters.",
    )


class FileForm(Serializer):
    # An empty file is a refused row, with its own sentence.
    file = fields.FileField(
        allow_empty_file=True, max_length=None, help_text="The file's bytes, in any format."
    )
    path = fields.RegexField(
        # Some part of it is more than dots. (How many bytes it may have, no schema can say.)
        r"^([^\u0000]*([^\u0000./\\]|\.{3})[^\u0000]*)?$",
        required=False,
        allow_blank=True,
        max_length=batches.MAX_PATH_CHARACTERS,
        trim_whitespace=False,
        help_text="Its path inside the folder, by which the batch knows it; only a label, "
        f"up to {batches.MAX_PATH_CHARACTERS:,} characters. Without one the file's name is taken.",
    )


# --- what is answered ---------------------------------------------------------------------


class Totals(Serializer):
    total = fields.IntegerField(help_text="All files; the others add up to it.")
    done = fields.IntegerField(help_text="Files that were heard.")
    running = fields.IntegerField(help_text="Files that a worker is listening to.")
    waiting = fields.IntegerField(help_text="Files that wait for a worker.")
    failed = fields.IntegerField(help_text="Files that could not be heard.")
    cancelled = fields.IntegerField(help_text="Files that were cancelled before their turn.")
    refused = fields.IntegerField(help_text="Files that were not taken in.")
    duplicate = fields.IntegerField(
        help_text="Files whose bytes you had sent before: linked to that analysis, not heard again."
    )


class BatchRow(Serializer):
    id = fields.UUIDField(help_text="The batch's id.")
    name = fields.CharField(help_text="As it was called when it was made.")
    state = fields.ChoiceField(
        choices=BatchState.values,
        help_text="open takes files; closed takes no more, and what waits is still heard; "
        "cancelled is closed, and what waited was cancelled.",
    )
    checkpoint = fields.CharField(
        allow_null=True,
        help_text="The weights that were asked for, as name@sha256; null if none were.",
    )
    created_at = fields.DateTimeField(help_text="When it was made, UTC.")
    closed_at = fields.DateTimeField(
        allow_null=True, help_text="Since when it takes no more files, UTC; null while open."
    )
    cancelled_at = fields.DateTimeField(
        allow_null=True, help_text="When it was cancelled, UTC; null unless it was."
    )
    totals = Totals(help_text="How many files became what; each counts once.")


class LabelCount(Serializer):
    label = fields.CharField(help_text="What was heard.")  # type: ignore[assignment]
    count = fields.IntegerField(help_text="In how many of the batch's own files.")


class BatchDetail(BatchRow):
    labels = LabelCount(many=True, help_text="How often each label was heard, most frequent first.")
    notice = Problem(
        allow_null=True, help_text="Why what waits may wait for long: no worker answers; else null."
    )


class CancelledBatch(BatchDetail):
    cancelled_now = fields.IntegerField(help_text="How many files this request cancelled.")


class RetriedBatch(BatchDetail):
    retried_now = fields.IntegerField(help_text="How many files this request sent again.")


class FileAnswer(Serializer):
    path = fields.CharField(help_text="The path by which the batch knows it.")
    outcome = fields.ChoiceField(
        choices=FileOutcome.values,
        help_text="accepted: it waits to be heard; duplicate: you sent these bytes before, and "
        "that analysis is linked; refused: nothing was stored.",
    )
    known = fields.BooleanField(
        help_text="Whether the batch had this path before; what was sent now was not looked at."
    )
    analysis = fields.UUIDField(
        allow_null=True, help_text="The analysis' id; null if it was refused."
    )
    error = Problem(allow_null=True, help_text="Why it was refused; null unless it was.")


FIELDS = {str: fields.CharField, float: fields.FloatField, UUID: fields.UUIDField}


class FileRow(Serializer):
    """One file of the export, with what became of it."""

    def get_fields(self) -> dict[str, Field]:
        return {name: _field(column) for name, column in batch_files.COLUMNS.items()}


def _field(column: batch_files.Column) -> Field:
    if column.type is list:
        return Prediction(many=True, help_text=column.words)
    options: dict[str, Any] = {"help_text": column.words, "allow_null": column.nullable}
    if issubclass(column.type, Choices):
        return fields.ChoiceField(choices=column.type.values, **options)
    return FIELDS[column.type](**options)


class BatchExport(BatchDetail):
    files = FileRow(many=True, help_text="Every file, by path.")
