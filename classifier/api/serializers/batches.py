"""Batches ↔ JSON. What goes in are the plain values of `batch_export`."""

from rest_framework import serializers

from classifier.api.serializers.clips import Asked, Prediction, Problem, Text
from classifier.models import BatchState, FileOutcome, State
from classifier.services import batches

# --- what is sent -------------------------------------------------------------------------


class NewBatch(Asked):
    name = Text(
        max_length=255,
        trim_whitespace=False,
        help_text="What you will know it by, usually the folder's name; up to 255 characters.",
    )


class FileForm(serializers.Serializer):
    # An empty file is a refused row, with its own sentence.
    file = serializers.FileField(
        allow_empty_file=True, max_length=None, help_text="The file's bytes, in any format."
    )
    path = serializers.RegexField(
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


class Totals(serializers.Serializer):
    total = serializers.IntegerField(help_text="All files; the others add up to it.")
    done = serializers.IntegerField(help_text="Files that were heard.")
    running = serializers.IntegerField(help_text="Files that a worker is listening to.")
    waiting = serializers.IntegerField(help_text="Files that wait for a worker.")
    failed = serializers.IntegerField(help_text="Files that could not be heard.")
    cancelled = serializers.IntegerField(help_text="Files that were cancelled before their turn.")
    refused = serializers.IntegerField(help_text="Files that were not taken in.")
    duplicate = serializers.IntegerField(
        help_text="Files whose bytes you had sent before: linked to that analysis, not heard again."
    )


class BatchRow(serializers.Serializer):
    id = serializers.UUIDField(help_text="The batch's id.")
    name = serializers.CharField(help_text="As it was called when it was made.")
    state = serializers.ChoiceField(
        choices=BatchState.values,
        help_text="open takes files; closed takes no more, and what waits is still heard; "
        "cancelled is closed, and what waited was cancelled.",
    )
    checkpoint = serializers.CharField(
        allow_null=True,
        help_text="The weights that were asked for, as name@sha256; null if none were.",
    )
    created_at = serializers.DateTimeField(help_text="When it was made, UTC.")
    closed_at = serializers.DateTimeField(
        allow_null=True, help_text="Since when it takes no more files, UTC; null while open."
    )
    cancelled_at = serializers.DateTimeField(
        allow_null=True, help_text="When it was cancelled, UTC; null unless it was."
    )
    totals = Totals(help_text="How many files became what; each counts once.")


class LabelCount(serializers.Serializer):
    label = serializers.CharField(help_text="What was heard.")  # type: ignore[assignment]
    count = serializers.IntegerField(help_text="In how many of the batch's own files.")


class BatchDetail(BatchRow):
    labels = LabelCount(many=True, help_text="How often each label was heard, most frequent first.")
    notice = Problem(
        allow_null=True, help_text="Why what waits may wait for long: no worker answers; else null."
    )


class CancelledBatch(BatchDetail):
    cancelled_now = serializers.IntegerField(help_text="How many files this request cancelled.")


class RetriedBatch(BatchDetail):
    retried_now = serializers.IntegerField(help_text="How many files this request sent again.")


class FileAnswer(serializers.Serializer):
    path = serializers.CharField(help_text="The path by which the batch knows it.")
    outcome = serializers.ChoiceField(
        choices=FileOutcome.values,
        help_text="accepted: it waits to be heard; duplicate: you sent these bytes before, and "
        "that analysis is linked; refused: nothing was stored.",
    )
    known = serializers.BooleanField(
        help_text="Whether the batch had this path before; what was sent now was not looked at."
    )
    analysis = serializers.UUIDField(
        allow_null=True, help_text="The analysis' id; null if it was refused."
    )
    error = Problem(allow_null=True, help_text="Why it was refused; null unless it was.")


class FileRow(serializers.Serializer):
    """One file of the export, with what became of it."""

    path = serializers.CharField(help_text="The path by which the batch knows it.")
    outcome = serializers.ChoiceField(
        choices=FileOutcome.values, help_text="What became of it when it was sent."
    )
    state = serializers.ChoiceField(
        choices=State.values,
        allow_null=True,
        help_text="Where its analysis is; null if it was refused.",
    )
    label = serializers.CharField(  # type: ignore[assignment]
        allow_null=True, help_text="What was heard; null until it is done."
    )
    confidence = serializers.FloatField(
        allow_null=True, help_text="Of that label, a share from 0 to 1; null until it is done."
    )
    top_five = Prediction(many=True, help_text="The five most confident, best first.")
    duration_s = serializers.FloatField(
        allow_null=True, help_text="Length in seconds; null until it was decoded."
    )
    checkpoint = serializers.CharField(
        allow_null=True,
        help_text="The weights that listened, or are asked to, as name@sha256; null if neither.",
    )
    error_code = serializers.CharField(
        allow_null=True, help_text="Why it failed or was refused, for programs; else null."
    )
    error_detail = serializers.CharField(
        allow_null=True, help_text="What is wrong, in a sentence; else null."
    )
    error_hint = serializers.CharField(
        allow_null=True, help_text="What to do about it, in a sentence; else null."
    )
    analysis = serializers.UUIDField(
        allow_null=True, help_text="The analysis' id; null if it was refused."
    )


class BatchExport(BatchDetail):
    files = FileRow(many=True, help_text="Every file, by path.")
