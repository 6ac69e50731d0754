"""Closer looks: asked for here, saved here, and removed here when nobody asks any more."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from classifier import storage
from classifier.models import Analysis, State, Study, StudyKind, StudyState
from classifier.services import map_archive
from classifier.services.dispatch import nudge_study

DAYS_KEPT = 30
# Files that one study of a kind has.
FILES = {
    StudyKind.SOUND: (storage.KEPT, storage.REST, storage.EVIDENCE),
    StudyKind.CHANNELS: (storage.SHEET, storage.CHANNELS, storage.MEAN),
    StudyKind.WINDOW: (storage.MAPS,),
}


class StudyRefused(Exception):
    """Cannot be looked at, and why. `status` is the HTTP status that says so."""

    def __init__(self, code: str, detail: str, hint: str, status: int = 400) -> None:
        super().__init__(detail)
        self.code, self.detail, self.hint, self.status = code, detail, hint, status


@dataclass(frozen=True, slots=True)
class Question:
    """window: its number, from 0 · label: for `sound` · map: for `channels`."""

    kind: StudyKind
    window: int = 0
    label: str = ""
    map: str = ""


def ask(analysis: Analysis, question: Question) -> Study:
    """The study that answers: a known one, or one that a worker is woken for.

    One that failed is tried again. Raises StudyRefused.
    """
    _check(analysis, question)
    with transaction.atomic():
        # Locked, so that nobody deletes it before it is answered.
        if not Analysis.objects.select_for_update().filter(pk=analysis.pk).first():
            raise StudyRefused(
                "not_found", "There is nothing here.", "The analysis was just deleted.", 404
            )
        rows = Study.objects.select_for_update(of=("self",))
        study, made = rows.get_or_create(analysis=analysis, **asdict(question))
        mine = Study.objects.filter(pk=study.pk)
        mine.update(used_at=timezone.now())
        if mine.queue_again() or made:
            # As for an upload: with the broker away the sweep nudges later.
            transaction.on_commit(lambda: nudge_study(study.pk), robust=True)
        study.refresh_from_db()
    return study


def _check(analysis: Analysis, question: Question) -> None:
    if analysis.state != State.DONE:
        raise StudyRefused(
            "not_done",
            "Only a finished analysis can be looked at more closely.",
            "Ask for the analysis until its state is done.",
            status=409,
        )
    windows = analysis.scope["windows"]
    if not 0 <= question.window < windows:
        raise StudyRefused(
            "unknown_window",
            f"There is no window {question.window} in this analysis.",
            f"It has {windows}, numbered from 0.",
        )
    labels = {prediction["class"] for prediction in analysis.predictions}
    _check_name("label", question.label, labels, question.kind == StudyKind.SOUND)
    maps = {facts["name"] for facts in analysis.maps}
    _check_name("map", question.map, maps, question.kind == StudyKind.CHANNELS)


def _check_name(what: str, name: str, known: set[str], wanted: bool) -> None:
    if wanted and name not in known:
        raise StudyRefused(
            f"unknown_{what}",
            f"There is no {what} {name[:80]!r} in this analysis." if name else f"Which {what}?",
            f"Send one of those that the analysis has: {', '.join(sorted(known)[:3])} …",
        )
    if name and not wanted:
        raise StudyRefused(
            f"no_{what}", f"This kind of study has no {what}.", f"Leave `{what}` empty."
        )


def save(study: Study, figures: dict[str, Any], contents: dict[str, bytes]) -> bool:
    """RUNNING → DONE, if `study.token` still holds it. Returns whether it did."""
    folder = folder_of(study)
    # Should this fail, the files stay for the sweep: a commit whose answer was lost may have held.
    storage.write_all(folder, contents)
    won = Study.objects.finish(study.token, StudyState.DONE, figures=figures)
    if not won:
        storage.remove_folder(folder)
    return won


def fail(study: Study, code: str, detail: str, hint: str) -> bool:
    """RUNNING → FAILED, if `study.token` still holds it. Returns whether it did."""
    return Study.objects.finish(
        study.token,
        StudyState.FAILED,
        error_code=code,
        error_detail=detail[:300],
        error_hint=hint[:300],
    )


def folder_of(study: Study) -> Path:
    return storage.study_folder(study.pk, study.token)


def addresses(study: Study) -> dict[str, str]:
    """Each file of a finished study by its name, and each picture in its pack."""
    if study.state != StudyState.DONE:
        return {}
    names = FILES[StudyKind(study.kind)]
    found = {name: reverse("study_file", args=[study.pk, name]) for name in names}
    figures = study.figures
    for name in map_archive.names(figures.get("maps", ()), figures.get("inside", {})):
        found[f"maps/{name}.png"] = reverse("study_map", args=[study.pk, name])
    return found


def locked_folders(studies: QuerySet[Study]) -> list[Path]:
    """Of those that are about to be deleted in this transaction.

    Without that of one that is being made: its worker will find it gone, and tidy up.
    """
    rows = studies.order_by("pk").select_for_update(of=("self",))
    return [
        storage.study_folder(pk, token)
        for pk, token, state in rows.values_list("pk", "token", "state")
        if token and state != StudyState.RUNNING
    ]


def remove_unused(most: int) -> int:
    """At most so many of those that nobody asked for in `DAYS_KEPT` days. Returns how many."""
    with transaction.atomic():
        rows = Study.objects.unused(DAYS_KEPT).select_for_update(skip_locked=True, of=("self",))
        old = Study.objects.filter(pk__in=list(rows.values_list("pk", flat=True)[:most]))
        folders = locked_folders(old)
        removed, _ = old.delete()
    storage.remove_folders(folders)
    return removed
