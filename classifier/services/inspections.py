"""Inspections: asked for here, saved here, and removed here when nobody asks any more."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from classifier import storage
from classifier.models import Analysis, Inspection, InspectionKind, InspectionState, State
from classifier.services.dispatch import dispatch_inspection

DAYS_KEPT = 30
# Files that one inspection of a kind has.
FILES = {
    InspectionKind.SOUND: (storage.KEPT, storage.REST, storage.ATTRIBUTION),
    InspectionKind.CHANNELS: (storage.SHEET, storage.CHANNELS, storage.MEAN),
    InspectionKind.WINDOW: (storage.MAPS,),
}


class InspectionRefused(Exception):
    """Cannot be looked at, and why. `status` is the HTTP status that says so."""

    def __init__(self, code: str, detail: str, hint: str, status: int = 400) -> None:
        super().__init__(detail)
        self.code, self.detail, self.hint, self.status = code, detail, hint, status


@dataclass(frozen=True, slots=True)
class Question:
    """window: its number, from 0 · label: for `sound` · map: for `channels`."""

    kind: InspectionKind
    window: int = 0
    label: str = ""
    map: str = ""


def ask(analysis: Analysis, question: Question) -> Inspection:
    """The inspection that answers: a known one, or one that a worker is woken for.

    One that failed is tried again. Raises InspectionRefused.
    """
    _check(analysis, question)
    with transaction.atomic():
        # Locked, so that nobody deletes it before it is answered.
        if not Analysis.objects.select_for_update().filter(pk=analysis.pk).first():
            raise InspectionRefused(
                "not_found", "There is nothing here.", "The analysis was just deleted.", 404
            )
        rows = Inspection.objects.select_for_update(of=("self",))
        inspection, made = rows.get_or_create(analysis=analysis, **asdict(question))
        mine = Inspection.objects.filter(pk=inspection.pk)
        mine.update(used_at=timezone.now())
        if mine.queue_again() or made:
            # As for an upload: with the broker away the sweep sends the message later.
            transaction.on_commit(lambda: dispatch_inspection(inspection.pk), robust=True)
        inspection.refresh_from_db()
    return inspection


def _check(analysis: Analysis, question: Question) -> None:
    metadata = analysis.metadata
    if analysis.state != State.DONE or metadata is None:
        raise InspectionRefused(
            "not_done",
            "Only a finished analysis can be looked at more closely.",
            "Ask for the analysis until its state is done.",
            status=409,
        )
    if not 0 <= question.window < metadata.window_count:
        raise InspectionRefused(
            "unknown_window",
            f"There is no window {question.window} in this analysis.",
            f"It has {metadata.window_count}, numbered from 0.",
        )
    labels = {prediction["class"] for prediction in analysis.predictions}
    _check_name("label", question.label, labels, question.kind == InspectionKind.SOUND)
    maps = {one.name for one in metadata.index.maps}
    _check_name("map", question.map, maps, question.kind == InspectionKind.CHANNELS)


def _check_name(what: str, name: str, known: set[str], wanted: bool) -> None:
    if wanted and name not in known:
        raise InspectionRefused(
            f"unknown_{what}",
            f"There is no {what} {name[:80]!r} in this analysis." if name else f"Which {what}?",
            f"Send one of those that the analysis has: {', '.join(sorted(known)[:3])} …",
        )
    if name and not wanted:
        raise InspectionRefused(
            f"no_{what}", f"This kind of inspection has no {what}.", f"Leave `{what}` empty."
        )


def save(inspection: Inspection, figures: dict[str, Any], contents: dict[str, bytes]) -> bool:
    """RUNNING → DONE, if `inspection.token` still holds it. Returns whether it did."""
    folder = folder_of(inspection)
    # Should this fail, the files stay for the sweep: a commit whose answer was lost may have held.
    storage.write_all(folder, contents)
    won = Inspection.objects.finish(inspection.token, InspectionState.DONE, figures=figures)
    if not won:
        storage.remove_folder(folder)
    return won


def fail(inspection: Inspection, code: str, detail: str, hint: str) -> bool:
    """RUNNING → FAILED, if `inspection.token` still holds it. Returns whether it did."""
    return Inspection.objects.finish(
        inspection.token,
        InspectionState.FAILED,
        error_code=code,
        error_detail=detail[:300],
        error_hint=hint[:300],
    )


def folder_of(inspection: Inspection) -> Path:
    return storage.inspection_folder(inspection.pk, inspection.token)


def locked_folders(inspections: QuerySet[Inspection]) -> list[Path]:
    """Of those that are about to be deleted in this transaction.

    Without that of one that is being made: its worker will find it gone, and tidy up.
    """
    rows = inspections.order_by("pk").select_for_update(of=("self",))
    return [
        storage.inspection_folder(pk, token)
        for pk, token, state in rows.values_list("pk", "token", "state")
        if token and state != InspectionState.RUNNING
    ]


def remove_unused(most: int) -> int:
    """At most so many of those that nobody asked for in `DAYS_KEPT` days. Returns how many."""
    with transaction.atomic():
        rows = Inspection.objects.unused(DAYS_KEPT).select_for_update(
            skip_locked=True, of=("self",)
        )
        old = Inspection.objects.filter(pk__in=list(rows.values_list("pk", flat=True)[:most]))
        folders = locked_folders(old)
        removed, _ = old.delete()
    storage.remove_folders(folders)
    return removed
