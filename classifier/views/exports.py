"""The page that waits for the sounds in the ZIP of a recording's events."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from classifier.models import Analysis, State
from classifier.services.dispatch import missing_worker
from classifier.services.exports import event_sounds
from classifier.services.exports.formats import Format

REFRESH_S = 2


@login_required
@require_GET
def events_zip(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Redirect to the ZIP, or show a page that loads itself again until its sounds are cut.

    The filters are those of the API.
    """
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    if analysis.state != State.DONE:
        return redirect("result", pk=pk)
    waiting = event_sounds.prepare(analysis)
    if waiting is None:
        query = request.GET.copy()
        query["format"] = Format.ZIP
        return redirect(f"{reverse('api_analysis_events', args=[pk])}?{query.urlencode()}")
    notice = missing_worker(waiting.unfinished, waiting.created_at)
    context = {"analysis": analysis, "notice": notice}
    page = render(request, "classifier/events_zip.html", context, status=202)
    page["Refresh"] = str(REFRESH_S)
    return page
