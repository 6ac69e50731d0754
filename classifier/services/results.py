"""The only way back: what a worker found out about one job."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction

from classifier import storage
from classifier.models import Analysis, Clip, LeasedJob, State


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
    render_metadata: dict[str, Any]
    maps: list[dict[str, Any]]
    timings: dict[str, float]
    contents: dict[str, bytes]


def save(
    job: LeasedJob,
    contents: dict[str, bytes],
    values: dict[str, Any],
    then: Callable[[], object] = lambda: None,
) -> bool:
    """RUNNING → DONE with these files and values, if `job.token` still holds it.

    `then` runs in the same transaction. Returns whether it was held; if not, no file is kept.
    """
    # Should the update fail, the files stay for the sweep: a commit whose answer was lost may have
    # held.
    storage.write_all(job.folder, contents)
    with transaction.atomic():
        won = bool(job.held().finish(State.DONE, **values))
        if won:
            then()
    if not won:
        storage.remove_folder(job.folder)
    return won


def save_result(analysis: Analysis, facts: ClipFacts, outcome: Outcome) -> bool:
    """Save a finished analysis, and what decoding found about its clip."""
    values = asdict(outcome)
    contents = values.pop("contents")
    best = outcome.predictions[0]
    values |= {"label": best["class"], "confidence": best["confidence"]}
    clip = Clip.objects.filter(pk=analysis.clip_id)
    return save(analysis, contents, values, lambda: clip.update(**asdict(facts)))
