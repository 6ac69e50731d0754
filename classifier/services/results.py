"""Save the result of a job. Workers store their results only through this module."""

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
    """Store files and values and move the job from RUNNING to DONE, if `job.token` still holds it.

    Parameters
    ----------
    contents : dict of str to bytes
        Bytes of each file by name, written to `job.folder`.
    values : dict
        Columns of the job.
    then : callable
        Called in the same transaction.

    Returns
    -------
    bool
        Whether the job was still held; if not, no file is kept.

    Raises
    ------
    OSError
        The files cannot be written.
    """
    # If the update fails, the files stay for the sweep: the commit may have succeeded although its
    # reply was lost.
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
    """Save an analysis like `save`, with the two best classes in their own columns.

    Parameters
    ----------
    values : dict
        Columns of the analysis; `predictions` has the best class first, and at least two.
    facts : dict
        Columns of its clip.

    Returns
    -------
    bool
        Whether the analysis was still held; if not, no file is kept.
    """
    best, second = values["predictions"][:2]
    values = values | {
        "label": best["class"],
        "confidence": best["confidence"],
        "second_label": second["class"],
    }
    clip = Clip.objects.filter(pk=analysis.clip_id)
    return save(analysis, contents, values, lambda: clip.update(**facts))
