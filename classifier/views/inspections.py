"""Inspections on the result page: request one, and show its state."""

import json
from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_POST

from classifier.links import inspection_files
from classifier.models import Analysis, Inspection, InspectionKind, State
from classifier.services import inspections
from classifier.services.inspections import Question
from classifier.services.problems import RequestRefused, refusal
from classifier.views.parts import for_htmx, render_part


@require_POST
@for_htmx(gone="history")
def ask(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Request an inspection by kind, window, label and map; return its part of the page."""
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    try:
        inspection = inspections.ask(analysis, _question(request))
    except RequestRefused as refused:
        context = {"problem": refused.problem}
        return render(request, "classifier/_inspection.html", context, status=refused.status)
    return _part(request, inspection)


def _question(request: HttpRequest) -> Question:
    """Parse the form. Raises RequestRefused."""
    sent = request.POST
    kind, window = sent.get("kind", ""), sent.get("window", "0")
    if kind not in InspectionKind.values:
        raise refusal(
            "unknown_kind",
            "Unknown kind of inspection.",
            f"Use one of: {', '.join(InspectionKind)}.",
        )
    if not (window.isascii() and window.isdigit() and len(window) < 10):
        raise refusal(
            "unknown_window", "The window must be a number.", "Windows are numbered from 0."
        )
    return Question(InspectionKind(kind), int(window), sent.get("label", ""), sent.get("map", ""))


@require_GET
@for_htmx(gone="history")
def part(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Return the state of an inspection for htmx; 204 if it is as in `seen`."""
    return _part(request, get_object_or_404(Inspection.objects.for_owner(request.user), pk=pk))


def _part(request: HttpRequest, inspection: Inspection) -> HttpResponse:
    status, template = 202 if inspection.unfinished else 200, "classifier/_inspection.html"
    context = partial(inspection_context, inspection)
    response = render_part(request, template, inspection.state, context, status)
    if inspection.kind == InspectionKind.WINDOW and inspection.state == State.DONE:
        # Many parts of the page show the window, so reload all of it.
        response["HX-Refresh"] = "true"
    return response


def inspection_context(inspection: Inspection) -> dict[str, Any]:
    """Return the context of `_inspection.html`."""
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
