"""Rows → the API's answers."""

from typing import Any

from django.urls import reverse

from classifier.models import Analysis, State


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """One analysis. Confidences and progress are shares from 0 to 1, timings seconds a clip."""
    done = analysis.state == State.DONE
    return {
        "id": str(analysis.pk),
        "clip": str(analysis.clip_id),
        "name": analysis.clip.name,
        "state": analysis.state,
        "step": analysis.step or None,
        "progress": analysis.progress,
        "duration_s": analysis.clip.duration_s,
        "sample_rate": analysis.clip.source_rate_hz,
        "predictions": analysis.predictions,
        "maps": {
            facts["name"]: {
                "url": reverse("map", args=[analysis.pk, facts["name"]]),
                "shape": facts["shape"],
                "channels": facts["channels"],
                "low": facts["low"],
                "high": facts["high"],
            }
            for facts in analysis.maps
        },
        "spectrogram": reverse("spectrogram", args=[analysis.pk]) if done else None,
        "audio": reverse("clip_audio", args=[analysis.clip_id]),
        "timings": analysis.timings,
        "checkpoint": analysis.checkpoint or None,
        "created_at": analysis.created_at,
        "finished_at": analysis.finished_at,
        "error": analysis.error,
    }
