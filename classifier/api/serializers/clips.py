"""Clips ↔ JSON."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.analyses import AnalysisRow
from classifier.api.serializers.base import Address, Asked
from classifier.models import Clip

# --- what is sent -------------------------------------------------------------------------


# A file of no bytes is described as wrong, so that nobody has to find out.
@extend_schema_field({"type": "string", "format": "binary", "minLength": 1})
class SoundField(fields.FileField):
    pass


class UploadForm(Asked):
    # An empty file is the doorkeeper's business: it has a better sentence for it.
    file = SoundField(
        allow_empty_file=True, max_length=None, help_text="The sound file's bytes, in any format."
    )


class UploadQuery(Serializer):
    again = fields.BooleanField(
        default=False,
        help_text="Analyse even if these bytes were analysed before, instead of a link to that.",
    )


# --- what is answered ---------------------------------------------------------------------


class UploadAnswer(Serializer):
    """Where an upload went."""

    # Takes an `uploads.Accepted`.
    clip = fields.UUIDField(source="analysis.clip_id", help_text="The clip's id.")
    analysis = fields.UUIDField(source="analysis.pk", help_text="The analysis' id.")
    duplicate = fields.BooleanField(
        help_text="Whether these bytes were known, so that this is the earlier analysis of them."
    )


class ClipRow(Serializer):
    id = fields.UUIDField(read_only=True, help_text="The clip's id.")
    name = fields.CharField(help_text="The file's name as it was sent; only a label.")
    format = fields.CharField(
        help_text="What the file turned out to be; empty until it was decoded."
    )
    size_bytes = fields.IntegerField(help_text="Size of the file in bytes.")
    sha256 = fields.CharField(help_text="SHA-256 of the file, in hexadecimal digits.")
    duration_s = fields.FloatField(
        allow_null=True, help_text="Length in seconds; null until it was decoded."
    )
    sample_rate = fields.IntegerField(
        source="source_rate_hz", allow_null=True, help_text="The file's own rate in Hz; or null."
    )
    channels = fields.IntegerField(
        allow_null=True, help_text="1 is mono, 2 is stereo; null until it was decoded."
    )
    audio = Address("clip_audio", source="pk", help_text="Address of the file as it was sent.")
    created_at = fields.DateTimeField(help_text="When it was sent, UTC.")


class ClipDetail(ClipRow):
    """A clip with its newest analyses."""

    # Which the view puts into the context as `latest`.
    LATEST = 20

    analyses = fields.SerializerMethodField(
        help_text=f"Its newest {LATEST} analyses; GET /api/v1/analyses/?clip=… lists them all."
    )

    @extend_schema_field(AnalysisRow(many=True))
    def get_analyses(self, clip: Clip) -> list[dict[str, Any]]:
        return list(AnalysisRow(self.context["latest"], many=True).data)
