"""Batches ↔ JSON. The input is the plain values of `exports.batch_files`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Choices
from rest_framework import fields
from rest_framework.fields import Field
from rest_framework.serializers import Serializer

from classifier.api.serializers.analyses import ANALYSIS_ID
from classifier.api.serializers.base import (
    CheckpointChoice,
    Notice,
    Prediction,
    Problem,
    Text,
    example,
)
from classifier.models import BatchState, FileOutcome
from classifier.services import batch_summary, batches
from classifier.services.exports import batch_files
from ml.file_names import label_of

FILE = {name: column.example for name, column in batch_files.COLUMNS.items()}
BATCH = {
    "id": "c56a4180-65aa-42ec-a945-5fd21dec0538",
    "name": "garden",
    "state": "closed",
    "checkpoint": None,
    "created_at": "2026-11-22T09:00:00Z",
    "closed_at": "2026-11-22T09:01:00Z",
    "cancelled_at": None,
    "finished_at": "2026-11-22T09:02:00Z",
    "left_out": 2,
    "totals": {
        "total": 4,
        "done": 1,
        "running": 0,
        "waiting": 0,
        "failed": 1,
        "cancelled": 0,
        "refused": 1,
        "duplicate": 1,
    },
}
LABELS = [{"label": "chirping_birds", "count": 1}]
DETAIL = {
    **BATCH,
    "rate_per_s": None,
    "left_s": None,
    "retryable": 1,
    "labels": LABELS,
    "notice": None,
}
FOLDER = {"path": "morning", "folders": 0, "totals": BATCH["totals"], "labels": LABELS}

# --- requests -------------------------------------------------------------------------


@example({"name": "garden"})
class CreateBatch(CheckpointChoice):
    name = Text(
        max_length=255,
        help_text="A name for the batch, such as the folder name; up to 255 characters.",
    )


class PathField(fields.RegexField):
    """The path of a file; its value is the path's label."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or "\0" in data:
            self.fail("invalid")
        return label_of(super().to_internal_value(data))


class AddFile(Serializer):
    # An empty file becomes a refused row with its own message.
    file = fields.FileField(
        allow_empty_file=True, max_length=None, help_text="The audio file, in any supported format."
    )
    path = PathField(
        # At least one component is not dots only. A schema cannot limit the bytes.
        r"^([^\u0000]*([^\u0000./]|\.{3})[^\u0000]*)?$",
        required=False,
        allow_blank=True,
        max_length=batches.MAX_PATH_CHARACTERS,
        trim_whitespace=False,
        help_text="Path within the folder, which identifies the file in the batch; up to "
        f"{batches.MAX_PATH_CHARACTERS:,} characters. `/` separates folders. Bytes that are not "
        "UTF-8 and control characters are percent-encoded. Defaults to the file name.",
    )


# --- responses ---------------------------------------------------------------------


class Totals(Serializer):
    total = fields.IntegerField(help_text="All files: the sum of the other counts.")
    done = fields.IntegerField(help_text="Files whose analysis is done.")
    running = fields.IntegerField(help_text="Files that a worker is analysing.")
    waiting = fields.IntegerField(help_text="Files that are waiting for a worker.")
    failed = fields.IntegerField(help_text="Files whose analysis failed.")
    cancelled = fields.IntegerField(help_text="Files that were cancelled while waiting.")
    refused = fields.IntegerField(help_text="Files that were not accepted.")
    duplicate = fields.IntegerField(
        help_text="Files whose bytes you had already uploaded; linked to the earlier analysis."
    )


@example(BATCH)
class BatchSummary(Serializer):
    id = fields.UUIDField(help_text="Batch id.")
    name = fields.CharField(help_text="The batch's name.")
    state = fields.ChoiceField(
        choices=BatchState.values,
        help_text="open: accepts files. closed: accepts no more files; queued files are still "
        "analysed. cancelled: closed, and queued files were cancelled.",
    )
    checkpoint = fields.CharField(
        allow_null=True,
        help_text="The requested checkpoint as name@sha256; null if none was requested.",
    )
    created_at = fields.DateTimeField(help_text="Time of creation, UTC.")
    closed_at = fields.DateTimeField(
        allow_null=True, help_text="Time it was closed, UTC; null while open."
    )
    cancelled_at = fields.DateTimeField(
        allow_null=True, help_text="Time it was cancelled, UTC; null unless it was cancelled."
    )
    finished_at = fields.DateTimeField(
        allow_null=True,
        help_text="Time at which the closed batch was found to have no unfinished file, UTC; null "
        "until then, and again after a retry.",
    )
    left_out = fields.IntegerField(
        help_text="Number of files of the folder or ZIP that were left out before sending, because "
        "they are hidden or contain no audio by their names."
    )
    totals = Totals(help_text="Number of files by state; each file is counted once.")


class LabelCount(Serializer):
    label = fields.CharField(help_text="Class name.")  # type: ignore[assignment]
    count = fields.IntegerField(
        help_text="Files with this top class, without duplicates and files that are not sure."
    )


@example(DETAIL)
class BatchDetail(BatchSummary):
    rate_per_s = fields.FloatField(
        allow_null=True,
        help_text="Files finished per second in the last minute, or in the last minutes if few "
        "were; null while nothing is unfinished or too few files have finished.",
    )
    left_s = fields.IntegerField(
        allow_null=True,
        help_text="Seconds until all files are finished at this rate; null while it is unknown.",
    )
    retryable = fields.IntegerField(
        help_text="Failed files that `retry` would analyse again: the failure was not due to the "
        "file. 0 if the batch is cancelled."
    )
    labels = LabelCount(
        many=True,
        help_text="Top classes with their counts, most frequent first. Files that are not sure are "
        "left out.",
    )
    notice = Problem(
        allow_null=True,
        help_text="Set while no worker is responding; otherwise null.",
    )


@example({**DETAIL, "state": "cancelled", "cancelled_now": 3})
class CancelledBatch(BatchDetail):
    cancelled_now = fields.IntegerField(help_text="Number of files that this request cancelled.")


@example({**DETAIL, "retried_now": 1})
class RetriedBatch(BatchDetail):
    retried_now = fields.IntegerField(help_text="Number of files that this request queued again.")


class BatchFolder(Serializer):
    path = fields.CharField(help_text="Path of the folder in the batch.")
    folders = fields.IntegerField(help_text="Number of folders directly inside it.")
    totals = Totals(help_text="Files in the folder and in those inside it, by state.")
    labels = LabelCount(
        many=True,
        help_text=f"The {batch_summary.FOLDER_LABELS} most frequent top classes, like `labels` of "
        "the batch.",
    )


@example({"folders": [FOLDER], "more": 0})
class BatchFolders(Serializer):
    folders = BatchFolder(many=True, help_text="The folders, sorted by path.")
    more = fields.IntegerField(
        help_text="Number of further folders; get them with `after` and the last path."
    )


@example(
    {
        "path": "morning/dawn.wav",
        "outcome": "accepted",
        "known": False,
        "analysis": ANALYSIS_ID,
        "error": None,
    }
)
class AddedFile(Serializer):
    path = fields.CharField(help_text="Path of the file in the batch.")
    outcome = fields.ChoiceField(
        choices=FileOutcome.values,
        help_text="accepted: queued for analysis. duplicate: you had already uploaded the same "
        "bytes; the earlier analysis is linked. refused: nothing was stored.",
    )
    known = fields.BooleanField(
        help_text="Whether the batch already had this file at this path; nothing was stored."
    )
    analysis = fields.UUIDField(
        allow_null=True, help_text="Analysis id; null if the file was refused."
    )
    error = Problem(
        allow_null=True, help_text="Why the file was refused; null unless it was refused."
    )


FIELDS = {
    str: fields.CharField,
    int: fields.IntegerField,
    float: fields.FloatField,
    bool: fields.BooleanField,
    UUID: fields.UUIDField,
    datetime: fields.DateTimeField,
}


# The columns that are lists of objects.
PARTS: dict[str, type[Serializer]] = {"top_five": Prediction, "notices": Notice}


class BatchFile(Serializer):
    """A file of the export with its result."""

    def get_fields(self) -> dict[str, Field]:
        return {name: _field(name, column) for name, column in batch_files.COLUMNS.items()}


def _field(name: str, column: batch_files.Column) -> Field:
    if name == "tags":
        return fields.ListField(child=fields.CharField(), help_text=column.words)
    if column.type is list:
        return PARTS[name](many=True, help_text=column.words)
    options: dict[str, Any] = {"help_text": column.words, "allow_null": column.nullable}
    if issubclass(column.type, Choices):
        return fields.ChoiceField(choices=column.type.values, **options)
    return FIELDS[column.type](**options)


@example({**DETAIL, "files": [FILE]})
class BatchExport(BatchDetail):
    files = BatchFile(many=True, help_text="Every file, sorted by path.")
