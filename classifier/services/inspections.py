"""Validate requests for inspections and queue them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from classifier import storage
from classifier.checkpoints import inventory
from classifier.models import EXPLANATIONS, Analysis, Inspection, InspectionKind, State
from classifier.services.dispatch import dispatch_inspection
from classifier.services.problems import refusal
from ml import tiles
from ml.render_metadata import ArchiveIndex, ExplanationIndex, RenderMetadata

DAYS_KEPT = 30
# The files of one inspection of each kind.
FILES = {
    InspectionKind.EXPLANATION: (storage.EXPLANATION, storage.KEPT, storage.REST),
    InspectionKind.REFINED: (storage.EXPLANATION, storage.KEPT, storage.REST),
    InspectionKind.CHANNELS: (storage.SHEET, storage.CHANNELS, storage.MEAN),
    InspectionKind.WINDOW: (storage.MAPS,),
    InspectionKind.SOUNDS: (storage.SOUNDS,),
    InspectionKind.TILE: (storage.TILE, storage.PEAKS),
}


# The one of them that is an archive of pictures, and what reads its index from the figures.
ARCHIVES: dict[str, tuple[str, Callable[[dict[str, Any]], ArchiveIndex | ExplanationIndex]]] = {
    InspectionKind.EXPLANATION: (storage.EXPLANATION, ExplanationIndex.from_json),
    InspectionKind.REFINED: (storage.EXPLANATION, ExplanationIndex.from_json),
    InspectionKind.WINDOW: (storage.MAPS, ArchiveIndex.from_json),
}


@dataclass(frozen=True, slots=True)
class PictureArchive:
    """The archive of pictures that some inspections have."""

    path: Path
    index: ArchiveIndex | ExplanationIndex


@dataclass(frozen=True, slots=True)
class Question:
    """A request for an inspection.

    Attributes
    ----------
    window : int
        Number of the window, from 0; for the kind `tile`, of the tile.
    label : str
        Class to explain, for the kinds `explanation` and `refined`.
    map : str
        Feature map to show, for the kind `channels`; for the kind `tile`, its level.
    """

    kind: InspectionKind
    window: int = 0
    label: str = ""
    map: str = ""


def ask(analysis: Analysis, question: Question) -> Inspection:
    """Return the inspection that answers the question: an existing one, or a new queued one.

    A failed or outdated inspection is queued again.

    Raises
    ------
    RequestRefused
        The analysis is not done (409) or was deleted (404), or it has no such window, label, map
        or tile (400).
    """
    _check(analysis, question)
    with transaction.atomic():
        # Locked, so that it is not deleted before the request is answered.
        if not Analysis.objects.select_for_update().filter(pk=analysis.pk).first():
            hint = "If the clip still exists, analyse it again."
            raise refusal("not_found", "The analysis was deleted.", hint, status=404)
        rows = Inspection.objects.select_for_update(of=("self",))
        inspection, made = rows.get_or_create(analysis=analysis, **asdict(question))
        if made or _request_again(inspection, analysis):
            # As for an upload: without the broker the sweep sends the message later.
            transaction.on_commit(lambda: dispatch_inspection(inspection.pk), robust=True)
    return inspection


def _request_again(inspection: Inspection, analysis: Analysis) -> bool:
    """Queue an inspection again if it failed or is outdated; return whether it was queued."""
    mine = Inspection.objects.filter(pk=inspection.pk)
    mine.update(used_at=timezone.now())
    again = inspection.state == State.FAILED or _outdated(inspection, _decoder_of(analysis))
    queued = again and bool(mine.queue_again())
    inspection.refresh_from_db()
    return queued


def find(analysis: Analysis, question: Question) -> Inspection | None:
    """Return the inspection of this question, if there is one that is not outdated."""
    made = Inspection.objects.filter(analysis=analysis, **asdict(question)).first()
    return made if made and not _outdated(made, _decoder_of(analysis)) else None


def current(analysis: Analysis, window: int) -> list[Inspection]:
    """Return the inspections of a window, except outdated ones."""
    decoder = _decoder_of(analysis)
    made = Inspection.objects.filter(analysis=analysis, window=window)
    return [one for one in made if not _outdated(one, decoder)]


def _decoder_of(analysis: Analysis) -> str | None:
    return inventory.decoder_digest(analysis.checkpoint)


def _outdated(inspection: Inspection, decoder: str | None) -> bool:
    """Return whether an explanation was made by another mask decoder than the installed one.

    Parameters
    ----------
    decoder : str or None
        As `inventory.decoder_digest` returns it. Without the checkpoint nothing is outdated,
        because it could not be made again.
    """
    if inspection.kind not in EXPLANATIONS or inspection.state != State.DONE or decoder is None:
        return False
    return inspection.figures.get("decoder") != decoder


def archive(inspection: Inspection) -> PictureArchive | None:
    """Return the archive of a finished inspection, None if its kind has none."""
    if inspection.kind not in ARCHIVES:
        return None
    name, read_index = ARCHIVES[inspection.kind]
    return PictureArchive(inspection.folder / name, read_index(inspection.figures))


def _check(analysis: Analysis, question: Question) -> None:
    metadata = analysis.metadata
    if analysis.state != State.DONE or metadata is None:
        raise refusal(
            "not_done",
            "Only a finished analysis can be inspected.",
            "Wait until the state of the analysis is done.",
            status=409,
        )
    if question.kind == InspectionKind.TILE:
        _check_tile(metadata, question)
        return
    _check_number("window", question.window, metadata.window_count)
    labels = {prediction["class"] for prediction in analysis.predictions}
    _check_name("label", question.label, labels, question.kind in EXPLANATIONS)
    maps = {one.name for one in metadata.index.maps}
    _check_name("map", question.map, maps, question.kind == InspectionKind.CHANNELS)


def _check_tile(metadata: RenderMetadata, question: Question) -> None:
    levels = tiles.levels(metadata.frames, metadata.shown_columns)
    if not levels:
        raise refusal(
            "no_tiles",
            "The spectrogram of this analysis has no tiles.",
            "The clip is short, so its picture shows every frame.",
        )
    _check_name("label", question.label, set(), False)
    _check_name("map", question.map, set(levels), True)
    _check_number("tile", question.window, levels[question.map])


def _check_number(what: str, number: int, count: int) -> None:
    if not 0 <= number < count:
        raise refusal(
            f"unknown_{what}",
            f"The analysis has no {what} {number}.",
            f"Its {what}s are numbered from 0 to {count - 1}.",
        )


def _check_name(what: str, name: str, known: set[str], wanted: bool) -> None:
    if wanted and name not in known:
        raise refusal(
            f"unknown_{what}",
            f"The analysis has no {what} {name[:80]!r}." if name else f"The {what} is missing.",
            f"Send a {what} that the analysis has, for example {', '.join(sorted(known)[:3])}.",
        )
    if name and not wanted:
        detail = f"This kind of inspection does not accept a {what}."
        raise refusal(f"no_{what}", detail, f"Leave `{what}` empty.")
