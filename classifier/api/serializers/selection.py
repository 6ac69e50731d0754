"""Changes of many analyses at once ↔ JSON."""

from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.analyses import ANALYSIS_ID
from classifier.api.serializers.base import CheckpointChoice, Text, example
from classifier.models import MAX_TAG_CHARACTERS
from classifier.services.exports.analysis_rows import RowFormat
from classifier.services.exports.formats import Format
from classifier.services.selection import MAX_AGAIN, MAX_CLIPS

MAX_IDS = 1000
MORE = f"Whether there are further ones: one request changes at most {MAX_CLIPS:,} clips."


@example({"analyses": [ANALYSIS_ID]})
class Selection(Serializer):
    """Either the ids of analyses, or `all`. Filters in the URL restrict both."""

    analyses = fields.ListField(
        required=False,
        child=fields.UUIDField(),
        min_length=1,
        max_length=MAX_IDS,
        help_text=f"Ids of up to {MAX_IDS:,} analyses.",
    )
    all = fields.BooleanField(
        default=False, help_text="All your analyses that match the filters in the URL."
    )


class SelectionToQueue(CheckpointChoice, Selection):
    pass


@example({"analyses": [ANALYSIS_ID], "tag": "garden"})
class SelectionToTag(Selection):
    tag = Text(max_length=MAX_TAG_CHARACTERS, help_text="Name of the tag, without a comma.")


class SelectionToExport(Selection):
    format = fields.ChoiceField(
        choices=[one.value for one in (*RowFormat, *Format)],
        default=Format.JSON.value,
        help_text="The format: rows.csv and rows.jsonl are tables of the analyses, the others of "
        "their events.",
    )


@example({"clips": 12, "more": False})
class Changed(Serializer):
    clips = fields.IntegerField(help_text="Number of clips that were changed.")
    more = fields.BooleanField(help_text=f"{MORE} Repeat the request to change them.")


@example({"queued": 10, "waiting": 2, "left": 0, "more": False})
class Queued(Serializer):
    queued = fields.IntegerField(help_text="Number of clips that have a new analysis.")
    waiting = fields.IntegerField(
        help_text="Number of clips that had an unfinished analysis by the same checkpoint."
    )
    left = fields.IntegerField(
        help_text="Number of clips that were left out, because you have reached the limit for "
        "unfinished clips."
    )
    more = fields.BooleanField(
        help_text="Whether there are further ones: one request analyses at most "
        f"{MAX_AGAIN:,} clips again. Repeat the request for them."
    )
