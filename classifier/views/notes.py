"""Tags and the note of a clip on its result page."""

from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from classifier.models import Analysis
from classifier.services import notes as services
from classifier.services.problems import RequestRefused
from classifier.views import results
from classifier.views.parts import for_htmx


@require_POST
@for_htmx(gone="history")
def notes(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Set tags and note; return their part of the page, or go back to the page."""
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    tags, text = (request.POST.get(name, "").replace("\0", "") for name in ("tags", "note"))
    is_htmx = "HX-Request" in request.headers
    try:
        with transaction.atomic():
            services.set_tags(analysis.clip, [one for one in tags.split(",") if one.strip()])
            services.set_note(analysis.clip, text)
    except RequestRefused as error:
        context = {"wrong_notes": error.problem, "tags": tags, "note": text}
        if not is_htmx:
            return results.show(request, analysis, error.status, **context)
        context |= {"analysis": analysis, "clip": analysis.clip}
        return render(request, "classifier/_notes.html", context, status=error.status)
    if not is_htmx:
        return redirect("result", pk=pk)
    context = {"analysis": analysis, "clip": analysis.clip, "notes_saved": True}
    return render(request, "classifier/_notes.html", context)
