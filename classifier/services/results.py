"""The only way back: what a worker found out about one job."""

from collections.abc import Callable
from typing import Any

from django.db import transaction

from classifier import storage
from classifier.models import Analysis, Clip, LeasedJob, State


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


def save_analysis(
    analysis: Analysis, contents: dict[str, bytes], values: dict[str, Any], facts: dict[str, Any]
) -> bool:
    """As `save`, with the best prediction in its own columns; `facts` are the clip's."""
    best = values["predictions"][0]
    values = values | {"label": best["class"], "confidence": best["confidence"]}
    clip = Clip.objects.filter(pk=analysis.clip_id)
    return save(analysis, contents, values, lambda: clip.update(**facts))
