"""Analyses → JSON."""

from dataclasses import asdict
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.base import (
    CONFIDENCE,
    LABEL,
    SHAPE,
    Address,
    Prediction,
    Problem,
    TextOrNull,
)
from classifier.links import checkpoint_page
from classifier.models import Analysis, State
from classifier.services.dispatch import missing_worker
from ml.render_metadata import ArchiveIndex


class FeatureMap(Serializer):
    url = fields.CharField(
        help_text="A palette PNG: index 0 stands for `low`, 255 for `high`, evenly between; "
        "one pixel a cell, low frequencies at the bottom."
    )
    shape = fields.ListField(child=fields.IntegerField(), help_text=SHAPE)
    channels = fields.IntegerField(help_text="How many channels the cells are the mean of.")
    low = fields.FloatField(help_text="The smallest cell; activations have no unit.")
    high = fields.FloatField(help_text="The largest cell; activations have no unit.")


class WindowAnswer(Serializer):
    start_s = fields.FloatField(help_text="Where the window begins, in seconds.")
    label = fields.CharField(help_text="What was heard in it.")  # type: ignore[assignment]
    confidence = fields.FloatField(help_text="Of that label, a share from 0 to 1.")


class AttributionPicture(Serializer):
    label = fields.CharField(help_text="The class that it speaks for.")  # type: ignore[assignment]
    url = fields.CharField(
        help_text="A PNG to lay over the spectrogram of the shown window: the more opaque a cell, "
        "the more it spoke for the class; one pixel a cell, low frequencies at the bottom."
    )
    shape = fields.ListField(child=fields.IntegerField(), help_text=SHAPE)
    logit = fields.FloatField(help_text="The class' logit in that window.")


class Timings(Serializer):
    decoding_s = fields.FloatField(
        required=False, help_text="Seconds of decoding, this clip's share of its chunk."
    )
    classifying_s = fields.FloatField(
        required=False, help_text="Seconds in the network, this clip's share of its chunk."
    )
    rendering_s = fields.FloatField(required=False, help_text="Seconds of drawing its pictures.")
    chunk_clips = fields.IntegerField(
        required=False, help_text="How many clips were heard together."
    )


class AnalysisRow(Serializer):
    """An analysis in a list: the answer, and nothing heavy."""

    id = fields.UUIDField(read_only=True, help_text="The analysis' id.")
    clip = fields.UUIDField(source="clip_id", help_text="The clip's id.")
    name = fields.CharField(
        source="clip.name", help_text="The file's name as it was sent; only a label."
    )
    state = fields.ChoiceField(
        choices=State.values,
        help_text="queued → running → done or failed; a waiting one can be cancelled.",
    )
    step = TextOrNull(help_text="What a running one is doing, else null.")
    progress = fields.FloatField(help_text="Share of the steps behind it, 0 to 1.")
    label = TextOrNull(help_text=LABEL)  # type: ignore[assignment]
    confidence = fields.FloatField(allow_null=True, help_text=CONFIDENCE)
    duration_s = fields.FloatField(
        source="clip.duration_s",
        allow_null=True,
        help_text="Length of the clip in seconds; null until it was decoded.",
    )
    checkpoint = TextOrNull(
        help_text="The weights that listened, or were asked to, as name@sha256; null until it is "
        "done where none were named."
    )
    created_at = fields.DateTimeField(help_text="When it was asked for, UTC.")
    finished_at = fields.DateTimeField(
        allow_null=True, help_text="When it ended, UTC; null before."
    )
    error = Problem(allow_null=True, help_text="Why it failed; null unless it did.")


class AnalysisDetail(AnalysisRow):
    """One analysis with everything that was found."""

    sample_rate = fields.IntegerField(
        source="clip.source_rate_hz",
        allow_null=True,
        help_text="The file's own rate in Hz; null until it was decoded.",
    )
    predictions = Prediction(many=True, help_text="Every class, the most confident first.")
    maps = fields.SerializerMethodField(
        help_text="Mean feature maps by name: conv1, layer1 … layer4, and within a layer "
        "block0.conv (before ReLU), block0.relu, …; in the order in which data flows."
    )
    windows = fields.SerializerMethodField(
        help_text="What each window of a longer clip was heard as; empty when there is but one."
    )
    shown_from_s = fields.FloatField(
        source="metadata.shown_from_s",
        allow_null=True,
        help_text="Where the window begins that maps and attribution are of: the one that speaks "
        "most for the answer; null until it is done.",
    )
    attribution = fields.SerializerMethodField(
        help_text="What spoke for each of the best five answers, in their order."
    )
    spectrogram = fields.SerializerMethodField(
        help_text="Address of the log-mel spectrogram as a palette PNG; null until it is done."
    )
    audio = Address("clip_audio", source="clip_id", help_text="Address of the file as it was sent.")
    timings = Timings(help_text="How long the worker took.")
    notice = fields.SerializerMethodField(
        help_text="Why it may wait for long: no worker answers; else null."
    )
    checkpoint_page = fields.SerializerMethodField(
        help_text="Address of the page that says what those weights are worth; null while there "
        "are none, or when they are no longer installed."
    )

    @extend_schema_field(Problem(allow_null=True))
    def get_notice(self, analysis: Analysis) -> dict[str, str] | None:
        notice = missing_worker(analysis.unfinished, analysis.created_at)
        return notice.as_dict() if notice else None

    @extend_schema_field(fields.DictField(child=FeatureMap()))
    def get_maps(self, analysis: Analysis) -> dict[str, Any]:
        index = _index(analysis)
        maps = {}
        for facts in map(asdict, index.maps if index else ()):
            name = facts.pop("name")
            maps[name] = {"url": _map_url(analysis, name), **facts}
        return maps

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
        return reverse("spectrogram", args=[analysis.pk]) if analysis.state == State.DONE else None

    def get_checkpoint_page(self, analysis: Analysis) -> str | None:
        return checkpoint_page(analysis.checkpoint)


def _index(analysis: Analysis) -> ArchiveIndex | None:
    return analysis.metadata.index if analysis.metadata else None


def _map_url(analysis: Analysis, name: str) -> str:
    return reverse("map", args=[analysis.pk, name])
