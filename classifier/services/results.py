"""The only way back: what a worker found out about one analysis."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from classifier import storage
from classifier.models import Analysis, Clip, State, Step
from ml.render_metadata import RenderMetadata


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What decoding found."""

    format: str
    duration_s: float
    source_rate_hz: int
    channels: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished analysis in plain values, and its files by name."""

    checkpoint: str
    predictions: list[dict[str, Any]]
    render_metadata: RenderMetadata
    timings: dict[str, float]
    contents: dict[str, bytes]


def save_result(analysis: Analysis, facts: ClipFacts, outcome: Outcome) -> bool:
    """RUNNING → DONE, if `analysis.token` still holds it. Returns whether it did."""
    folder = storage.analysis_folder(analysis.pk, analysis.token)
    best = outcome.predictions[0]
    # Should this fail, the files stay for the sweep: a commit whose answer was lost may have held.
    storage.write_all(folder, outcome.contents)
    with transaction.atomic():
        won = _finish(
            analysis,
            State.DONE,
            checkpoint=outcome.checkpoint,
            label=best["class"],
            confidence=best["confidence"],
            predictions=outcome.predictions,
            render_metadata=outcome.render_metadata.to_json(),
            timings=outcome.timings,
        )
        if won:
            Clip.objects.filter(pk=analysis.clip_id).update(
                format=facts.format,
                duration_s=facts.duration_s,
                source_rate_hz=facts.source_rate_hz,
                channels=facts.channels,
            )
    if not won:
        storage.remove_folder(folder)
    return won


def save_failure(analysis: Analysis, code: str, detail: str, hint: str) -> bool:
    """RUNNING → FAILED, if `analysis.token` still holds it. Returns whether it did."""
    return _finish(
        analysis, State.FAILED, error_code=code, error_detail=detail[:300], error_hint=hint[:300]
    )


def _finish(analysis: Analysis, state: State, **values: Any) -> bool:
    return bool(
        Analysis.objects.held(analysis.token)
        .filter(pk=analysis.pk)
        .update(
            state=state,
            step=Step.NONE,
            leased_until=None,
            finished_at=timezone.now(),
            **values,
        )
    )
