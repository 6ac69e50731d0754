"""Clips ↔ JSON."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import fields
from rest_framework.exceptions import ValidationError
from rest_framework.serializers import Serializer

from classifier.api.serializers.analyses import ANALYSIS, ANALYSIS_ID, CLIP_ID, AnalysisSummary
from classifier.api.serializers.base import (
    FOLDER,
    NOTICES,
    TAGS,
    Address,
    CheckpointChoice,
    Notice,
    Text,
    TextOrNull,
    example,
)
from classifier.models import MAX_NOTE_CHARACTERS, MAX_TAG_CHARACTERS, MAX_TAGS, Clip
from ml.clock_time import SOURCES

CLIP = {
    "id": CLIP_ID,
    "name": "dawn.wav",
    "format": "WAV",
    "size_bytes": 441044,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "duration_s": 5.0,
    "sample_rate": 44100,
    "channels": 1,
    "notices": [],
    "recorded_at": "2024-05-01T05:30:00+02:00",
    "recorded_from": "guano",
    "folder": "morning",
    "tags": ["garden"],
    "note": None,
    "audio": f"/media/clips/{CLIP_ID}/audio",
    "created_at": "2026-11-22T09:00:00Z",
}

# --- requests -------------------------------------------------------------------------


# The schema rejects empty files, so that clients need not try them.
@extend_schema_field({"type": "string", "format": "binary", "minLength": 1})
class SoundField(fields.FileField):
    pass


class UploadClip(CheckpointChoice):
    # `uploads.accept_once` rejects an empty file with a better message.
    file = SoundField(
        allow_empty_file=True, max_length=None, help_text="The audio file, in any supported format."
    )


class UploadQuery(Serializer):
    again = fields.BooleanField(
        default=False,
        help_text="Analyse again even if the same bytes have already been analysed.",
    )


@example({"tags": ["garden"], "note": "Behind the shed, light wind."})
class ClipChanges(Serializer):
    """Changes of a clip; what is not sent stays."""

    # `recordings.set_start` rejects what is not a time with a better message.
    recorded_at = Text(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=40,
        help_text="When the recording starts: a date and time in ISO 8601, with an offset if the "
        "time zone is known; null if the time is unknown. Later analyses keep it.",
    )
    # `notes` rejects what is not a tag with a better message.
    tags = fields.ListField(
        required=False,
        child=Text(max_length=MAX_TAG_CHARACTERS),
        max_length=MAX_TAGS,
        help_text=f"All tags of the clip, up to {MAX_TAGS}, each without a comma. Upper and lower "
        "case are the same.",
    )
    note = Text(
        required=False,
        allow_blank=True,
        max_length=MAX_NOTE_CHARACTERS,
        help_text=f"Plain text, up to {MAX_NOTE_CHARACTERS:,} characters.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise ValidationError("Send at least one of recorded_at, tags and note.")
        return attrs


# --- responses ---------------------------------------------------------------------


@example({"clip": CLIP_ID, "analysis": ANALYSIS_ID, "duplicate": False})
class AcceptedUpload(Serializer):
    """The clip and analysis of an upload; serializes an `uploads.Accepted`."""

    clip = fields.UUIDField(source="analysis.clip_id", help_text="Clip id.")
    analysis = fields.UUIDField(source="analysis.pk", help_text="Analysis id.")
    duplicate = fields.BooleanField(
        help_text="Whether you had already uploaded the same bytes; if so, this is the earlier "
        "analysis."
    )


@example(CLIP)
class ClipSummary(Serializer):
    id = fields.UUIDField(read_only=True, help_text="Clip id.")
    name = fields.CharField(help_text="File name as uploaded.")
    format = fields.CharField(
        help_text="Audio format, detected from the content; empty until the file is decoded."
    )
    size_bytes = fields.IntegerField(help_text="Size of the file in bytes.")
    sha256 = fields.CharField(help_text="SHA-256 of the file, in hexadecimal digits.")
    duration_s = fields.FloatField(
        allow_null=True, help_text="Duration in seconds; null until the file is decoded."
    )
    sample_rate = fields.IntegerField(
        source="source_rate_hz",
        allow_null=True,
        help_text="Sample rate in Hz; null until the file is decoded.",
    )
    channels = fields.IntegerField(
        allow_null=True, help_text="Number of channels; null until the file is decoded."
    )
    notices = Notice(many=True, source="noticed", help_text=NOTICES)
    recorded_at = TextOrNull(
        help_text="When the recording starts, in ISO 8601, without an offset if the time zone is "
        "unknown; null if the time is unknown, and until the file is decoded."
    )
    recorded_from = TextOrNull(
        help_text=f"Where `recorded_at` was found: {', '.join(SOURCES)}; null if nothing was "
        "found. `user` without a time: you removed it."
    )
    folder = TextOrNull(help_text=FOLDER)
    tags = fields.ListField(child=fields.CharField(), source="tag_names", help_text=TAGS)
    note = TextOrNull(help_text="What you noted about the clip; null if nothing.")
    audio = Address("clip_audio", source="pk", help_text="URL of the file as uploaded.")
    created_at = fields.DateTimeField(help_text="Time of upload, UTC.")


@example({**CLIP, "analyses": [ANALYSIS]})
class ClipDetail(ClipSummary):
    """A clip with its newest analyses, which the view passes as `context["latest"]`."""

    LATEST = 20

    analyses = fields.SerializerMethodField(
        help_text=f"The newest {LATEST} analyses; GET /api/v1/analyses/?clip=… lists all."
    )

    @extend_schema_field(AnalysisSummary(many=True))
    def get_analyses(self, clip: Clip) -> list[dict[str, Any]]:
        return list(AnalysisSummary(self.context["latest"], many=True).data)
