"""The page of one analysis, and the part of it that changes."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from classifier.checkpoints import evaluation, inventory
from classifier.models import Analysis, State, Study, StudyKind, StudyState
from classifier.views import result_layout
from classifier.views.inspections import study_context


@login_required
@require_GET
def result(request: HttpRequest, pk: UUID) -> HttpResponse:
    """`?window=3`: another window of a long clip than the one that speaks most for the answer."""
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    context = _context(analysis, request.GET.get("window", ""))
    return render(request, "classifier/result.html", context)


@require_GET
def part(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The changing part of a result page, for htmx; 204 while it is as `seen` says."""
    if not request.user.is_authenticated:
        return HttpResponse(headers={"HX-Redirect": reverse("login")})
    analysis = Analysis.objects.for_owner(request.user).filter(pk=pk).first()
    if analysis is None:
        return HttpResponse(headers={"HX-Redirect": reverse("history")})
    if request.GET.get("seen") == analysis.stage:
        return HttpResponse(status=204)
    response = render(request, "classifier/_result.html", _context(analysis))
    response["Cache-Control"] = "no-store"
    return response


def _context(analysis: Analysis, asked_window: str = "") -> dict[str, Any]:
    context: dict[str, Any] = {
        "analysis": analysis,
        "clip": analysis.clip,
        "checkpoints": inventory.offered(),
        "checkpoint_page": inventory.page_of(analysis.checkpoint),
    }
    if analysis.state == State.DONE:
        window = result_layout.window_of(analysis.scope, asked_window)
        context |= _heard(analysis, window) | _inside(analysis, window)
    return context


def _heard(analysis: Analysis, window: int) -> dict[str, Any]:
    told, duration_s = analysis.scope, analysis.clip.duration_s or 0.0
    shown_from_s = result_layout.start_of(told, window)
    return {
        "best": analysis.predictions[:5],
        "rest": analysis.predictions[5:],
        "meaning": evaluation.meaning(analysis.checkpoint, analysis.confidence),
        "bands": result_layout.bands(told),
        "time_ticks": result_layout.time_ticks(duration_s),
        "frequency_ticks": result_layout.frequency_ticks(told["ticks"]),
        "slots": result_layout.slots(told, duration_s),
        "window": window,
        "shown_from_s": shown_from_s,
        "shown_to_s": shown_from_s + told["window_s"],
        "input": result_layout.input_place(told, shown_from_s, duration_s),
    }


def _inside(analysis: Analysis, window: int) -> dict[str, Any]:
    """What the network showed of that window: the analysis' own, or what a study found."""
    maps, facts, address, owner = (
        analysis.maps, analysis.scope.get("inside", {}), "map", analysis.pk,
    )  # fmt: skip
    known = Study.objects.filter(analysis=analysis, window=window)
    if window != analysis.scope.get("shown_window", 0):
        study = known.filter(kind=StudyKind.WINDOW).first()
        if study is None or study.state != StudyState.DONE:
            return {"pending": study or True}
        maps, facts, address, owner = (
            study.figures["maps"], study.figures["inside"], "study_map", study.pk,
        )  # fmt: skip

    def picture_url(name: str) -> str:
        return reverse(address, args=[owner, name])

    sounds = {
        study.label: study_context(study)
        for study in known.filter(kind=StudyKind.SOUND, state=StudyState.DONE)
    }
    return {
        "evidence": result_layout.evidence(facts, picture_url, sounds),
        "stages": result_layout.stages(maps, facts.get("strongest", {}), picture_url),
        "pooled": result_layout.pooled(facts, picture_url),
    }
