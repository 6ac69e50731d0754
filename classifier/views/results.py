"""The result page of one analysis, and the part of it that changes."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from classifier.checkpoints import evaluation, inventory
from classifier.links import checkpoint_page
from classifier.models import Analysis, Inspection, InspectionKind, State
from classifier.services.dispatch import missing_worker
from classifier.views import result_layout
from classifier.views.inspections import inspection_context
from classifier.views.parts import for_htmx, render_part
from ml.errors import Problem
from ml.evaluation import Bin
from ml.render_metadata import ArchiveIndex, RenderMetadata


@login_required
@require_GET
def result(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show the result page; `?window=3` selects another window of a long clip.

    By default the page shows the window that contributes most to the prediction.
    """
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    notice = missing_worker(analysis.unfinished, analysis.created_at)
    context = _context(analysis, notice, request.GET.get("window", ""))
    return render(request, "classifier/result.html", context)


@require_GET
@for_htmx(gone="history")
def part(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Return the changing part of a result page for htmx; 204 if it is as in `seen`."""
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    notice = missing_worker(analysis.unfinished, analysis.created_at)
    seen = _seen(analysis, notice)
    return render_part(request, "classifier/_result.html", seen, lambda: _context(analysis, notice))


def _seen(analysis: Analysis, notice: Problem | None) -> str:
    return f"{analysis.stage}.{notice.code}" if notice else analysis.stage


def _context(analysis: Analysis, notice: Problem | None, asked_window: str = "") -> dict[str, Any]:
    context: dict[str, Any] = {
        "analysis": analysis,
        "notice": notice,
        "seen": _seen(analysis, notice),
        "clip": analysis.clip,
        "checkpoints": inventory.offered(),
        "checkpoint_page": checkpoint_page(analysis.checkpoint),
        "rejection": evaluation.rejection(analysis.checkpoint) if analysis.not_sure else None,
    }
    metadata = analysis.metadata
    if analysis.state == State.DONE and metadata:
        window = result_layout.window_of(metadata, asked_window)
        context |= _predictions(analysis, metadata, window)
        context |= _explanations(analysis, metadata, window)
        context |= _activations(analysis, metadata, window)
    return context


def _predictions(analysis: Analysis, metadata: RenderMetadata, window: int) -> dict[str, Any]:
    duration_s, shown_from_s = analysis.clip.duration_s or 0.0, metadata.start_s(window)
    return {
        "metadata": metadata,
        "rest": analysis.predictions[result_layout.BEST_CLASSES :],
        "meaning": _meaning(analysis),
        "time_ticks": result_layout.time_ticks(duration_s),
        "frequency_ticks": result_layout.frequency_ticks(metadata.ticks),
        "slots": result_layout.slots(metadata, duration_s),
        "window": window,
        "shown_from_s": shown_from_s,
        "shown_to_s": shown_from_s + metadata.window_s,
        "input": result_layout.input_place(metadata, shown_from_s, duration_s),
    }


def _meaning(analysis: Analysis) -> Bin | None:
    """Return how often predictions with a similar confidence were correct, None if unknown.

    Also None if the clip is probably none of the classes: all evaluated clips had one of them.
    """
    if analysis.not_sure:
        return None
    return evaluation.meaning(analysis.checkpoint, analysis.confidence)


def _explanations(analysis: Analysis, metadata: RenderMetadata, window: int) -> dict[str, Any]:
    """Return the classes that can be explained, with what was already made for each.

    The page shows the best class of the window first.
    """
    made = {
        (one.kind, one.label): one
        for one in Inspection.objects.filter(analysis=analysis, window=window)
    }
    windows = metadata.window_predictions
    first = windows[window].label if windows else analysis.predictions[0]["class"]
    choices = []
    for one in result_layout.choices(analysis, metadata, window):
        explanation = made.get((InspectionKind.EXPLANATION, one.label))
        sound = made.get((InspectionKind.SOUND, one.label))
        choices.append(
            {
                "choice": one,
                "first": one.label == first,
                "explanation": inspection_context(explanation) if explanation else None,
                "sound": inspection_context(sound) if sound and not sound.unfinished else None,
            }
        )
    return {"choices": choices, "first": next(one["choice"] for one in choices if one["first"])}


def _activations(analysis: Analysis, metadata: RenderMetadata, window: int) -> dict[str, Any]:
    """Return the activations of the window, from the analysis itself or from an inspection."""
    if window == metadata.shown_window:
        return result_layout.activations(
            metadata.index, lambda name: reverse("map", args=[analysis.pk, name])
        )
    known = Inspection.objects.filter(analysis=analysis, window=window)
    inspection = known.filter(kind=InspectionKind.WINDOW).first()
    if inspection is None or inspection.state != State.DONE:
        return {"pending": inspection_context(inspection) if inspection else None}
    return result_layout.activations(
        ArchiveIndex.from_json(inspection.figures),
        lambda name: reverse("inspection_map", args=[inspection.pk, name]),
    )
