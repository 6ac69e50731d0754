"""The page of one analysis, and the part of it that changes."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from classifier import checkpoints, reports, scope
from classifier.models import Analysis, State


@login_required
@require_GET
def result(request: HttpRequest, pk: UUID) -> HttpResponse:
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    return render(request, "classifier/result.html", _result_context(analysis))


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
    response = render(request, "classifier/_result.html", _result_context(analysis))
    response["Cache-Control"] = "no-store"
    return response


def _result_context(analysis: Analysis) -> dict[str, Any]:
    context: dict[str, Any] = {
        "analysis": analysis,
        "clip": analysis.clip,
        "checkpoints": checkpoints.offered(),
        "checkpoint_page": checkpoints.page_of(analysis.checkpoint),
    }
    if analysis.state == State.DONE:
        context |= _heard_context(analysis)
    return context


def _heard_context(analysis: Analysis) -> dict[str, Any]:
    told, duration_s = analysis.scope, analysis.clip.duration_s or 0.0
    inside = told.get("inside", {})
    shown_from_s, shown_to_s = told["shown_from_s"], told["shown_from_s"] + told["window_s"]

    def picture_url(name: str) -> str:
        return reverse("map", args=[analysis.pk, name])

    return {
        "best": analysis.predictions[:5],
        "rest": analysis.predictions[5:],
        "meaning": reports.meaning(analysis.checkpoint, analysis.confidence),
        "bands": scope.bands(told),
        "time_ticks": scope.time_ticks(duration_s),
        "frequency_ticks": scope.frequency_ticks(told["ticks"]),
        "slots": scope.slots(told, duration_s),
        "window": told.get("shown_window", 0),
        "shown_from_s": shown_from_s,
        "shown_to_s": shown_to_s,
        "evidence": scope.evidence(inside, picture_url),
        "input": scope.input_place(told, duration_s),
        "stages": scope.stages(analysis.maps, inside.get("strongest", {}), picture_url),
        "pooled": scope.pooled(inside, picture_url),
    }
