"""The start of a recording on the result page."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from classifier.models import Analysis
from classifier.services import recordings
from classifier.services.problems import RequestRefused
from classifier.views import results
from classifier.views.parts import for_htmx


@require_POST
@for_htmx(gone="history")
def recorded(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Set the start from `at` and `offset`; return its part of the page, or go back to the page."""
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    at, offset = (request.POST.get(name, "").strip() for name in ("at", "offset"))
    is_htmx = "HX-Request" in request.headers
    try:
        recordings.set_start(analysis.clip, at and at + offset)
    except RequestRefused as error:
        context = {"wrong_time": error.problem, "at": at, "offset": offset}
        if is_htmx:
            return _part(request, analysis, context, error.status)
        return results.show(request, analysis, error.status, **context)
    return _part(request, analysis, {"saved": True}) if is_htmx else redirect("result", pk=pk)


def _part(
    request: HttpRequest, analysis: Analysis, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    context |= {"analysis": analysis, "clip": analysis.clip}
    return render(request, "classifier/_recorded.html", context, status=status)
