"""Inspections on the result page: the asking, and the part that shows how one goes."""

import json
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from classifier.links import inspection_files
from classifier.models import Analysis, Inspection, InspectionKind, InspectionState
from classifier.services import inspections
from classifier.services.inspections import InspectionRefused, Question


@require_POST
def ask(request: HttpRequest, pk: UUID) -> HttpResponse:
    """kind, window, label, map → the inspection's part of the page."""
    if not request.user.is_authenticated:
        return HttpResponse(headers={"HX-Redirect": reverse("login")})
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    try:
        inspection = inspections.ask(analysis, _question(request))
    except InspectionRefused as refused:
        return render(
            request, "classifier/_inspection.html", {"refused": refused}, status=refused.status
        )
    return _part(request, inspection)


def _question(request: HttpRequest) -> Question:
    """Raises InspectionRefused."""
    sent = request.POST
    kind, window = sent.get("kind", ""), sent.get("window", "0")
    if kind not in InspectionKind.values:
        raise InspectionRefused(
            "unknown_kind",
            "There is no such kind of inspection.",
            f"Kinds: {', '.join(InspectionKind)}.",
        )
    if not (window.isascii() and window.isdigit() and len(window) < 10):
        raise InspectionRefused("unknown_window", "A window has a number.", "They count from 0.")
    return Question(InspectionKind(kind), int(window), sent.get("label", ""), sent.get("map", ""))


@require_GET
def part(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How a inspection goes, for htmx; 204 while it is as `seen` says."""
    if not request.user.is_authenticated:
        return HttpResponse(headers={"HX-Redirect": reverse("login")})
    inspection = Inspection.objects.for_owner(request.user).filter(pk=pk).first()
    if inspection is None:
        # Whoever polls for it is on the page of an analysis that is gone.
        return HttpResponse(status=404, headers={"HX-Redirect": reverse("history")})
    if request.GET.get("seen") == inspection.state:
        return HttpResponse(status=204)
    return _part(request, inspection)


def _part(request: HttpRequest, inspection: Inspection) -> HttpResponse:
    status = 202 if inspection.unfinished else 200
    response = render(
        request, "classifier/_inspection.html", inspection_context(inspection), status=status
    )
    response["Cache-Control"] = "no-store"
    if inspection.kind == InspectionKind.WINDOW and inspection.state == InspectionState.DONE:
        # The page shows it in many places: from the start, then.
        response["HX-Refresh"] = "true"
    return response


def inspection_context(inspection: Inspection) -> dict[str, Any]:
    """For `_inspection.html`."""
    return {
        "inspection": inspection,
        # For data attributes: kept.flac → data-kept.
        "files": [
            (name.partition(".")[0], address)
            for name, address in inspection_files(inspection).items()
            if "/" not in name
        ],
        "figures": json.dumps(inspection.figures),
    }
