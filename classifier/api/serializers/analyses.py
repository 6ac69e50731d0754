"""Analyses → JSON."""

from dataclasses import asdict
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import fields
from rest_framework.serializers import Serializer

from classifier.api.serializers.base import (
    CONFIDENCE,
    FOLDER,
    LABEL,
    NOTICES,
    SHAPE,
    TAGS,
    Address,
    Notice,
    Prediction,
    Problem,
    TextOrNull,
    example,
)
from classifier.api.serializers.judgements import WORDS, Judgement, judgement_json
from classifier.links import checkpoint_page
from classifier.models import Analysis, State
from classifier.services.dispatch import missing_worker

CLIP_ID = "7e57d004-2b97-4e7a-b45f-5387367791cd"
ANALYSIS_ID = "9f1c2b7e-3f4a-4d52-8a39-0d6c2f1e7b10"
ANALYSIS: dict[str, Any] = {
    "id": ANALYSIS_ID,
    "clip": CLIP_ID,
    "name": "dawn.wav",
    "folder": "morning",
    "tags": ["garden"],
    "state": "done",
    "step": None,
    "progress": 1.0,
    "label": "chirping_birds",
    "confidence": 0.924,
    "not_sure": False,
    "judgement": None,
    "event_count": 1,
    "duration_s": 5.0,
    "notices": [],
    "checkpoint": "esc50-folds1234@4f6a1c0d9b2e",
    "created_at": "2026-11-22T09:00:00Z",
    "finished_at": "2026-11-22T09:00:01Z",
    "error": None,
}


class FeatureMap(Serializer):
    url = fields.CharField(
        help_text="URL of a palette PNG: palette indices from 0 to 255 map linearly to values from "
        "`low` to `high`. One pixel per cell, low frequencies at the bottom."
    )
    shape = fields.ListField(child=fields.IntegerField(), help_text=SHAPE)
    channels = fields.IntegerField(help_text="Number of channels that are averaged.")
    low = fields.FloatField(help_text="Smallest value; activations have no unit.")
    high = fields.FloatField(help_text="Largest value; activations have no unit.")


class WindowPrediction(Serializer):
    start_s = fields.FloatField(help_text="Start of the window in seconds.")
    label = fields.CharField(help_text="Top class of the window.")  # type: ignore[assignment]
    confidence = fields.FloatField(help_text="Probability of that class, 0 to 1.")


class Timings(Serializer):
    decoding_s = fields.FloatField(
        required=False,
        help_text="Time spent waiting for the decoder in seconds, averaged over the clips that "
        "were analysed together. The next clips are decoded meanwhile.",
    )
    classifying_s = fields.FloatField(
        required=False, help_text="Inference time in seconds, averaged over these clips."
    )
    rendering_s = fields.FloatField(required=False, help_text="Rendering time in seconds.")
    chunk_clips = fields.IntegerField(
        required=False, help_text="Number of clips that were analysed together."
    )


@example(ANALYSIS)
class AnalysisSummary(Serializer):
    """An analysis in a list: its state and top class."""

    id = fields.UUIDField(read_only=True, help_text="Analysis id.")
    clip = fields.UUIDField(source="clip_id", help_text="Clip id.")
    name = fields.CharField(source="clip.name", help_text="File name as uploaded.")
    folder = TextOrNull(source="clip.folder", help_text=FOLDER)
    tags = fields.ListField(child=fields.CharField(), source="clip.tag_names", help_text=TAGS)
    state = fields.ChoiceField(
        choices=State.values,
        help_text="queued → running → done or failed. A queued analysis can be cancelled.",
    )
    step = TextOrNull(help_text="Current step while running; otherwise null.")
    progress = fields.FloatField(help_text="Fraction of the steps completed, 0 to 1.")
    label = TextOrNull(help_text=LABEL)  # type: ignore[assignment]
    confidence = fields.FloatField(allow_null=True, help_text=CONFIDENCE)
    not_sure = fields.BooleanField(
        help_text="Whether the sound is probably none of the checkpoint's classes. If the "
        "checkpoint's header has no threshold for this, true only for a silent sound."
    )
    judgement = fields.SerializerMethodField(
        help_text=f"{WORDS} It belongs to the clip, so all its analyses have it."
    )
    event_count = fields.IntegerField(
        allow_null=True, help_text="Number of events; null until the analysis is done."
    )
    duration_s = fields.FloatField(
        source="clip.duration_s",
        allow_null=True,
        help_text="Duration of the clip in seconds; null until the file is decoded.",
    )
    notices = Notice(many=True, source="clip.noticed", help_text=NOTICES)
    checkpoint = TextOrNull(
        help_text="The checkpoint used or requested, as name@sha256; null until the analysis is "
        "done if none was requested."
    )
    created_at = fields.DateTimeField(help_text="Time of the request, UTC.")
    finished_at = fields.DateTimeField(
        allow_null=True, help_text="Time when it finished, UTC; null until then."
    )
    error = Problem(allow_null=True, help_text="Why the analysis failed; null unless it failed.")

    @extend_schema_field(Judgement(allow_null=True))
    def get_judgement(self, analysis: Analysis) -> dict[str, Any] | None:
        return judgement_json(analysis)


@example(
    {
        **ANALYSIS,
        "sample_rate": 44100,
        "predictions": [
            {"class": "chirping_birds", "confidence": 0.924},
            {"class": "insects", "confidence": 0.031},
        ],
        "maps": {
            "conv1": {
                "url": f"/media/analyses/{ANALYSIS_ID}/maps/conv1.png",
                "shape": [64, 216],
                "channels": 64,
                "low": 0.0,
                "high": 1.92,
            }
        },
        "windows": [],
        "events": f"/api/v1/analyses/{ANALYSIS_ID}/events/",
        "shown_from_s": 0.0,
        "spectrogram": f"/media/analyses/{ANALYSIS_ID}/spectrogram.png",
        "audio": f"/media/clips/{CLIP_ID}/audio",
        "timings": {
            "decoding_s": 0.02,
            "classifying_s": 0.19,
            "rendering_s": 0.04,
            "chunk_clips": 1,
        },
        "notice": None,
        "checkpoint_page": "/models/esc50-folds1234@4f6a1c0d9b2e/",
    }
)
class AnalysisDetail(AnalysisSummary):
    """An analysis with its predictions and feature maps."""

    sample_rate = fields.IntegerField(
        source="clip.source_rate_hz",
        allow_null=True,
        help_text="Sample rate of the file in Hz; null until the file is decoded.",
    )
    predictions = Prediction(many=True, help_text="Every class, most probable first.")
    maps = fields.SerializerMethodField(
        help_text="Channel-averaged feature maps by name, from input to output: conv1, "
        "layer1 … layer4. Within a layer: block0.conv (before ReLU), block0.relu, and so on."
    )
    windows = fields.SerializerMethodField(
        help_text="Prediction for each window; empty if the clip has only one window."
    )
    events = Address("api_analysis_events", source="pk", help_text="URL of the events.")
    shown_from_s = fields.FloatField(
        source="metadata.shown_from_s",
        allow_null=True,
        help_text="Start, in seconds, of the window that the maps refer to: "
        "the window in which the top class has its highest probability. Null until the analysis is "
        "done.",
    )
    spectrogram = fields.SerializerMethodField(
        help_text="URL of the log-mel spectrogram, a palette PNG; null until the analysis is done."
    )
    audio = Address("clip_audio", source="clip_id", help_text="URL of the file as uploaded.")
    timings = Timings(help_text="Processing times.")
    notice = fields.SerializerMethodField(
        help_text="Set while no worker is responding; otherwise null."
    )
    checkpoint_page = fields.SerializerMethodField(
        help_text="URL of the checkpoint's page with its accuracy; null until the analysis is done "
        "or if the checkpoint is no longer installed."
    )

    @extend_schema_field(Problem(allow_null=True))
    def get_notice(self, analysis: Analysis) -> dict[str, str] | None:
        notice = missing_worker(analysis.unfinished, analysis.created_at)
        return notice.as_dict() if notice else None

    @extend_schema_field(fields.DictField(child=FeatureMap()))
    def get_maps(self, analysis: Analysis) -> dict[str, Any]:
        maps = {}
        for facts in map(asdict, analysis.metadata.index.maps if analysis.metadata else ()):
            name = facts.pop("name")
            maps[name] = {"url": reverse("map", args=[analysis.pk, name]), **facts}
        return maps

    @extend_schema_field(WindowPrediction(many=True))
    def get_windows(self, analysis: Analysis) -> list[dict[str, Any]]:
        metadata = analysis.metadata
        return [asdict(one) for one in metadata.window_predictions] if metadata else []

    def get_spectrogram(self, analysis: Analysis) -> str | None:
        return reverse("spectrogram", args=[analysis.pk]) if analysis.state == State.DONE else None

    def get_checkpoint_page(self, analysis: Analysis) -> str | None:
        return checkpoint_page(analysis.checkpoint)
