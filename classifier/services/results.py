"""Save the results of jobs. Workers store their results only through this module."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Q, Value, When

from classifier import storage
from classifier.models import Analysis, Clip, Event, LeasedJob, State
from ml.clock_time import USER
from ml.events import Event as FoundEvent
from ml.render_metadata import EarlyPictures

EVENTS_AT_ONCE = 500
# What a worker finds in the file and each analysis has of its clip, see `Clip.copied`.
COPIED = ("clip_duration_s", "clip_notices")


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """What a worker found for one analysis.

    Attributes
    ----------
    contents : dict of str to bytes or open file
        Content of each file by name, for `analysis.folder`.
    values : dict
        Columns of the analysis; `predictions` has the best class first, and at least two.
    facts : dict
        Columns of its clip.
    events : sequence of ml.events.Event
    """

    analysis: Analysis
    contents: dict[str, storage.Content]
    values: dict[str, Any]
    facts: dict[str, Any]
    events: Sequence[FoundEvent] = ()


def save(job: LeasedJob, contents: Mapping[str, storage.Content], values: dict[str, Any]) -> bool:
    """Store files and values and move the job from RUNNING to DONE, if `job.token` still holds it.

    Parameters
    ----------
    contents : mapping of str to bytes or open file
        Content of each file by name, written to `job.folder`.
    values : dict
        Columns of the job.

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
    won = bool(job.held().finish(State.DONE, **values))
    if not won:
        storage.remove_folder(job.folder)
    return won


def save_early_pictures(
    analysis: Analysis,
    contents: Mapping[str, storage.Content],
    pictures: EarlyPictures,
    facts: dict[str, Any],
) -> bool:
    """Store pictures of a running analysis before its result, if its token still holds it.

    `save_analyses` adds the other files to the same folder. If the claim is lost before, the sweep
    removes the folder.

    Parameters
    ----------
    contents : mapping of str to bytes or open file
        Content of each file by name.
    facts : dict
        Columns of its clip.

    Returns
    -------
    bool
        Whether the analysis was still held; if not, no file is kept.

    Raises
    ------
    OSError
        The files cannot be written.
    """
    storage.write_all(analysis.folder, contents)
    with transaction.atomic():
        runs = _locked([analysis.clip_id])
        values = {"early_pictures": pictures.to_json(), **_copies(facts)}
        held = bool(analysis.held().update(**values))
        if held:
            _copy_to_others(runs, {analysis.pk}, {analysis.clip_id: facts})
            Clip.objects.filter(pk=analysis.clip_id).update(**_facts(facts))
    if not held:
        storage.remove_folder(analysis.folder)
    return held


def save_analyses(results: Sequence[AnalysisResult]) -> list[Analysis]:
    """Save analyses of one claim like `save`, in one transaction.

    The two best classes are stored in their own columns.

    Returns
    -------
    list of Analysis
        Those that were no longer held; none of their files is kept.

    Raises
    ------
    OSError
        A file cannot be written; then nothing is saved.
    """
    storage.write_folders({one.analysis.folder: one.contents for one in results})
    with transaction.atomic():
        runs = _locked([one.analysis.clip_id for one in results])
        token = results[0].analysis.token
        held = {row.pk for row in runs if row.token == token and row.state == State.RUNNING}
        saved = [one for one in results if one.analysis.pk in held]
        for one in saved:
            rows = Analysis.objects.filter(pk=one.analysis.pk)
            best = _best_two(one.values["predictions"])
            counted = {"event_count": len(one.events)}
            rows.finish(State.DONE, **one.values, **best, **_copies(one.facts), **counted)
        rows_of_events = (Event.of(one.analysis, event) for one in saved for event in one.events)
        Event.objects.bulk_create(rows_of_events, batch_size=EVENTS_AT_ONCE)
        _copy_to_others(runs, held, {one.analysis.clip_id: one.facts for one in saved})
        for one in sorted(saved, key=lambda one: one.analysis.clip_id):
            Clip.objects.filter(pk=one.analysis.clip_id).update(**_facts(one.facts))
    lost = [one.analysis for one in results if one.analysis.pk not in held]
    storage.remove_folders(row.folder for row in lost)
    return lost


def _locked(clips: Sequence[Any]) -> list[Analysis]:
    """Lock and return all analyses of the clips, given by their keys, in the order of deletions."""
    rows = Analysis.objects.filter(clip__in=clips).order_by("pk")
    columns = ("pk", "clip_id", "token", "state", *COPIED)
    return list(rows.only(*columns).select_for_update(of=("self",)))


def _copy_to_others(
    runs: Sequence[Analysis], saved: set[Any], facts: Mapping[Any, dict[str, Any]]
) -> None:
    """Copy the new facts of clips, by their keys, to the locked rows that are not saved anyway."""
    changed = []
    for row in runs:
        if row.pk in saved or row.clip_id not in facts:
            continue
        for name, value in _copies(facts[row.clip_id]).items():
            setattr(row, name, value)
        changed.append(row)
    if changed:
        Analysis.objects.bulk_update(changed, COPIED)


def _facts(found: dict[str, Any]) -> dict[str, Any]:
    """Return the columns to set in a clip. The start of a recording that its user set is kept."""
    by_user = Q(recorded_from=USER)
    kept = {
        name: Case(When(by_user, then=F(name)), default=Value(found[name]))
        for name in ("recorded_at", "recorded_from")
        if name in found
    }
    return found | kept


def _copies(found: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of the analysis that are copies of the clip's, as `Clip.copied`."""
    facts = Clip(duration_s=found.get("duration_s"), notices=found.get("notices", []))
    return {name: facts.copied()[name] for name in COPIED}


def _best_two(predictions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    best, second = predictions[:2]
    return {
        "label": best["class"],
        "confidence": best["confidence"],
        "second_label": second["class"],
    }
