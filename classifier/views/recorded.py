"""The start of a recording on the result page."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from classifier.models import Analysis
from classifier.services import recordings
from classifier.services.problems import RequestRefused
from classifier.views.parts import for_htmx
from classifier.views.upload import refused


@require_POST
@for_htmx(gone="history")
def recorded(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Set the start from `at` and `offset`; return its part of the page, or go back to the page."""
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    at, offset = (request.POST.get(name, "").strip() for name in ("at", "offset"))
    context = {"analysis": analysis, "clip": analysis.clip, "at": at, "offset": offset}
    try:
        recordings.set_start(analysis.clip, at and at + offset)
    except RequestRefused as error:
        if "HX-Request" not in request.headers:
            return refused(request, [(analysis.clip.name, error)])
        context |= {"problem": error.problem}
        return render(request, "classifier/_recorded.html", context, status=error.status)
    if "HX-Request" not in request.headers:
        return redirect("result", pk=pk)
    return render(request, "classifier/_recorded.html", context | {"saved": True})
