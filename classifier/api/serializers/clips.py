"""Rows ↔ JSON: clips, analyses, tokens. Each field says what it means, for `schema.py` to tell."""

from dataclasses import asdict
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from classifier.checkpoints import inventory
from classifier.models import Analysis, Clip, State
from classifier.services.dispatch import missing_worker
from classifier.services.tokens import DEFAULT_DAYS, MAX_DAYS
from ml.render_metadata import ArchiveIndex

# --- what is sent -------------------------------------------------------------------------


class Text(serializers.CharField):
    """A number is no text."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


# A file of no bytes is described as wrong, so that nobody has to find out.
@extend_schema_field({"type": "string", "format": "binary", "minLength": 1})
class SoundField(serializers.FileField):
    pass


class Asked(serializers.Serializer):
    """Which checkpoint shall listen."""

    # `schema.py` tells which there are to choose from.
    checkpoint = Text(
        required=False,
        allow_blank=True,
        max_length=120,
        trim_whitespace=False,
        help_text="Which installed checkpoint is to listen, by name or as name@sha256; "
        "the default one if empty or not given.",
    )


class UploadForm(Asked):
    # An empty file is the doorkeeper's business: it has a better sentence for it.
    file = SoundField(
        allow_empty_file=True, max_length=None, help_text="The sound file's bytes, in any format."
    )


class UploadQuery(serializers.Serializer):
    again = serializers.BooleanField(
        default=False,
        help_text="Analyse even if these bytes were analysed before, instead of a link to that.",
    )


class TokenOptions(serializers.Serializer):
    name = Text(
        default="",
        allow_blank=True,
        max_length=100,
        trim_whitespace=False,
        help_text="What you will know it by.",
    )
    expires_in_days = serializers.IntegerField(
        default=DEFAULT_DAYS,
        min_value=1,
        max_value=MAX_DAYS,
        help_text=f"Days until it stops working, 1 to {MAX_DAYS}.",
    )


class TokenRequest(TokenOptions):
    username = Text(max_length=150, help_text="As on the sign-in page.")
    password = Text(trim_whitespace=False, max_length=1000, help_text="As on the sign-in page.")


class TokenForm(TokenOptions):
    pass


class ClassifyForm(serializers.Serializer):
    audio_data = Text(trim_whitespace=False, help_text="The sound file's bytes as base64.")


# --- what is answered ---------------------------------------------------------------------


class Problem(serializers.Serializer):
    code = serializers.CharField(help_text="One word for programs; it does not change.")
    detail = serializers.CharField(help_text="One sentence for a person: what is wrong.")
    hint = serializers.CharField(help_text="One sentence for a person: what to do about it.")


class UploadAnswer(serializers.Serializer):
    """Where an upload went."""

    # Takes an `uploads.Accepted`.
    clip = serializers.UUIDField(source="analysis.clip_id", help_text="The clip's id.")
    analysis = serializers.UUIDField(source="analysis.pk", help_text="The analysis' id.")
    duplicate = serializers.BooleanField(
        help_text="Whether these bytes were known, so that this is the earlier analysis of them."
    )


class Prediction(serializers.Serializer):
    # `class` is no name that Python lets a field have.
    def get_fields(self) -> dict[str, serializers.Field]:
        return {
            "class": serializers.CharField(help_text="The sound's label."),
            "confidence": serializers.FloatField(help_text="Share from 0 to 1; all sum to 1."),
        }


class FeatureMap(serializers.Serializer):
    url = serializers.CharField(
        help_text="A palette PNG: index 0 stands for `low`, 255 for `high`, evenly between; "
        "one pixel a cell, low frequencies at the bottom."
    )
    shape = serializers.ListField(
        child=serializers.IntegerField(), help_text="Height (frequency) and width (time), in cells."
    )
    channels = serializers.IntegerField(help_text="How many channels the cells are the mean of.")
    low = serializers.FloatField(help_text="The smallest cell; activations have no unit.")
    high = serializers.FloatField(help_text="The largest cell; activations have no unit.")


class WindowAnswer(serializers.Serializer):
    start_s = serializers.FloatField(help_text="Where the window begins, in seconds.")
    label = serializers.CharField(help_text="What was heard in it.")  # type: ignore[assignment]
    confidence = serializers.FloatField(help_text="Of that label, a share from 0 to 1.")


class AttributionPicture(serializers.Serializer):
    label = serializers.CharField(  # type: ignore[assignment]
        help_text="The class that it speaks for."
    )
    url = serializers.CharField(
        help_text="A PNG to lay over the spectrogram of the shown window: the more opaque a cell, "
        "the more it spoke for the class; one pixel a cell, low frequencies at the bottom."
    )
    shape = serializers.ListField(
        child=serializers.IntegerField(), help_text="Height (frequency) and width (time), in cells."
    )
    logit = serializers.FloatField(help_text="The class' logit in that window.")


class Timings(serializers.Serializer):
    decoding_s = serializers.FloatField(
        required=False, help_text="Seconds of decoding, this clip's share of its chunk."
    )
    classifying_s = serializers.FloatField(
        required=False, help_text="Seconds in the network, this clip's share of its chunk."
    )
    rendering_s = serializers.FloatField(
        required=False, help_text="Seconds of drawing its pictures."
    )
    chunk_clips = serializers.IntegerField(
        required=False, help_text="How many clips were heard together."
    )


class ClipRow(serializers.ModelSerializer):
    name = serializers.CharField(help_text="The file's name as it was sent; only a label.")
    format = serializers.CharField(
        help_text="What the file turned out to be; empty until it was decoded."
    )
    size_bytes = serializers.IntegerField(help_text="Size of the file in bytes.")
    sha256 = serializers.CharField(help_text="SHA-256 of the file, in hexadecimal digits.")
    duration_s = serializers.FloatField(
        allow_null=True, help_text="Length in seconds; null until it was decoded."
    )
    sample_rate = serializers.IntegerField(
        source="source_rate_hz", allow_null=True, help_text="The file's own rate in Hz; or null."
    )
    channels = serializers.IntegerField(
        allow_null=True, help_text="1 is mono, 2 is stereo; null until it was decoded."
    )
    audio = serializers.SerializerMethodField(help_text="Address of the file as it was sent.")
    created_at = serializers.DateTimeField(help_text="When it was sent, UTC.")

    class Meta:
        model = Clip
        fields = (
            "id",
            "name",
            "format",
            "size_bytes",
            "sha256",
            "duration_s",
            "sample_rate",
            "channels",
            "audio",
            "created_at",
        )
        extra_kwargs = {"id": {"help_text": "The clip's id."}}

    def get_audio(self, clip: Clip) -> str:
        return reverse("clip_audio", args=[clip.pk])


class AnalysisRow(serializers.ModelSerializer):
    """An analysis in a list: the answer, and nothing heavy."""

    clip = serializers.UUIDField(source="clip_id", help_text="The clip's id.")
    name = serializers.CharField(
        source="clip.name", help_text="The file's name as it was sent; only a label."
    )
    state = serializers.ChoiceField(
        choices=State.values,
        help_text="queued → running → done or failed; a waiting one can be cancelled.",
    )
    step = serializers.SerializerMethodField(help_text="What a running one is doing, else null.")
    progress = serializers.FloatField(help_text="Share of the steps behind it, 0 to 1.")
    label = serializers.SerializerMethodField(  # type: ignore[assignment]
        help_text="What was heard; null until it is done."
    )
    confidence = serializers.FloatField(
        allow_null=True, help_text="Of that label, a share from 0 to 1; null until it is done."
    )
    duration_s = serializers.FloatField(
        source="clip.duration_s",
        allow_null=True,
        help_text="Length of the clip in seconds; null until it was decoded.",
    )
    checkpoint = serializers.SerializerMethodField(
        help_text="The weights that listened, or were asked to, as name@sha256; null until it is "
        "done where none were named."
    )
    created_at = serializers.DateTimeField(help_text="When it was asked for, UTC.")
    finished_at = serializers.DateTimeField(
        allow_null=True, help_text="When it ended, UTC; null before."
    )
    error = Problem(allow_null=True, help_text="Why it failed; null unless it did.")

    class Meta:
        model = Analysis
        fields: tuple[str, ...] = (
            "id",
            "clip",
            "name",
            "state",
            "step",
            "progress",
            "label",
            "confidence",
            "duration_s",
            "checkpoint",
            "created_at",
            "finished_at",
            "error",
        )
        extra_kwargs = {"id": {"help_text": "The analysis' id."}}

    def get_step(self, analysis: Analysis) -> str | None:
        return analysis.step or None

    def get_label(self, analysis: Analysis) -> str | None:
        return analysis.label or None

    def get_checkpoint(self, analysis: Analysis) -> str | None:
        return analysis.checkpoint or None


class AnalysisDetail(AnalysisRow):
    """One analysis with everything that was found."""

    sample_rate = serializers.IntegerField(
        source="clip.source_rate_hz",
        allow_null=True,
        help_text="The file's own rate in Hz; null until it was decoded.",
    )
    predictions = Prediction(many=True, help_text="Every class, the most confident first.")
    maps = serializers.SerializerMethodField(
        help_text="Mean feature maps by name: conv1, layer1 … layer4, and within a layer "
        "block0.conv (before ReLU), block0.relu, …; in the order in which data flows."
    )
    windows = serializers.SerializerMethodField(
        help_text="What each window of a longer clip was heard as; empty when there is but one."
    )
    shown_from_s = serializers.FloatField(
        source="metadata.shown_from_s",
        allow_null=True,
        help_text="Where the window begins that maps and attribution are of: the one that speaks "
        "most for the answer; null until it is done.",
    )
    attribution = serializers.SerializerMethodField(
        help_text="What spoke for each of the best five answers, in their order."
    )
    spectrogram = serializers.SerializerMethodField(
        help_text="Address of the log-mel spectrogram as a palette PNG; null until it is done."
    )
    audio = serializers.SerializerMethodField(help_text="Address of the file as it was sent.")
    timings = Timings(help_text="How long the worker took.")
    notice = serializers.SerializerMethodField(
        help_text="Why it may wait for long: no worker answers; else null."
    )
    checkpoint_page = serializers.SerializerMethodField(
        help_text="Address of the page that says what those weights are worth; null while there "
        "are none, or when they are no longer installed."
    )

    class Meta(AnalysisRow.Meta):
        fields = (
            *AnalysisRow.Meta.fields,
            "sample_rate",
            "predictions",
            "maps",
            "windows",
            "shown_from_s",
            "attribution",
            "spectrogram",
            "audio",
            "timings",
            "notice",
            "checkpoint_page",
        )

    def get_checkpoint_page(self, analysis: Analysis) -> str | None:
        return inventory.page_of(analysis.checkpoint)

    @extend_schema_field(Problem(allow_null=True))
    def get_notice(self, analysis: Analysis) -> dict[str, str] | None:
        notice = missing_worker(analysis.unfinished, analysis.created_at)
        return notice.as_dict() if notice else None

    @extend_schema_field(serializers.DictField(child=FeatureMap()))
    def get_maps(self, analysis: Analysis) -> dict[str, Any]:
        index = _index(analysis)
        return {
            one.name: {
                "url": _map_url(analysis, one.name),
                "shape": one.shape,
                "channels": one.channels,
                "low": one.low,
                "high": one.high,
            }
            for one in (index.maps if index else ())
        }

    @extend_schema_field(WindowAnswer(many=True))
    def get_windows(self, analysis: Analysis) -> list[dict[str, Any]]:
        metadata = analysis.metadata
        return [asdict(one) for one in metadata.window_predictions] if metadata else []

    @extend_schema_field(AttributionPicture(many=True))
    def get_attribution(self, analysis: Analysis) -> list[dict[str, Any]]:
        index = _index(analysis)
        return [
            {"url": _map_url(analysis, f"attribution.{rank}"), **asdict(one)}
            for rank, one in enumerate(index.activations.attribution if index else ())
        ]

    def get_spectrogram(self, analysis: Analysis) -> str | None:
        if analysis.state != State.DONE:
            return None
        return reverse("spectrogram", args=[analysis.pk])

    def get_audio(self, analysis: Analysis) -> str:
        return reverse("clip_audio", args=[analysis.clip_id])


def _index(analysis: Analysis) -> ArchiveIndex | None:
    return analysis.metadata.index if analysis.metadata else None


def _map_url(analysis: Analysis, name: str) -> str:
    return reverse("map", args=[analysis.pk, name])


class ClipDetail(ClipRow):
    """A clip with its newest analyses."""

    # Which the view puts into the context as `latest`.
    LATEST = 20

    analyses = serializers.SerializerMethodField(
        help_text=f"Its newest {LATEST} analyses; GET /api/v1/analyses/?clip=… lists them all."
    )

    class Meta(ClipRow.Meta):
        fields = (*ClipRow.Meta.fields, "analyses")  # type: ignore[assignment]

    @extend_schema_field(AnalysisRow(many=True))
    def get_analyses(self, clip: Clip) -> list[dict[str, Any]]:
        return list(AnalysisRow(self.context["latest"], many=True).data)


class TokenAnswer(serializers.Serializer):
    token = serializers.CharField(help_text="The secret itself; it is shown only this once.")


class TokenRow(serializers.Serializer):
    id = serializers.UUIDField(source="public_id", help_text="What to revoke it by.")
    name = serializers.CharField(help_text="What you know it by.")
    created_at = serializers.DateTimeField(source="created", help_text="When it was made, UTC.")
    expires_at = serializers.DateTimeField(source="expiry", help_text="When it ends, UTC.")
    last_used_at = serializers.DateTimeField(
        allow_null=True, help_text="To within a minute, UTC; null while unused."
    )


class NewToken(TokenRow):
    token = serializers.SerializerMethodField(
        help_text="The secret itself; it is shown only this once."
    )

    def get_token(self, token: Any) -> str:
        return self.context["token"]


# --- the original's answer ----------------------------------------------------------------


class Grid(serializers.Serializer):
    shape = serializers.ListField(
        child=serializers.IntegerField(), help_text="Height (frequency) and width (time), in cells."
    )
    values = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()),
        help_text="Rows of cells, row 0 the lowest frequency.",
    )


class Waveform(serializers.Serializer):
    values = serializers.ListField(
        child=serializers.FloatField(),
        help_text="Lowest and highest sample of each of up to 1,000 equal parts, −1 to 1.",
    )
    sample_rate = serializers.IntegerField(help_text="Always 44100, in Hz, as the original says.")
    duration = serializers.FloatField(help_text="Length in seconds.")


class ClassifyAnswer(serializers.Serializer):
    predictions = Prediction(many=True, help_text="The three most confident, best first.")
    visualization = serializers.DictField(
        child=Grid(), help_text="The 37 mean feature maps by name; activations have no unit."
    )
    input_spectrogram = Grid(help_text="The log-mel spectrogram in dB.")
    waveform = Waveform(help_text="The waveform, for drawing it.")
