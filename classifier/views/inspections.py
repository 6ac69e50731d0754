"""Closer looks on the result page: the asking, and the part that shows how one goes."""

import json
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from classifier.models import Analysis, Study, StudyKind, StudyState
from classifier.services import inspections
from classifier.services.inspections import Question, StudyRefused


@require_POST
def ask(request: HttpRequest, pk: UUID) -> HttpResponse:
    """kind, window, label, map → the study's part of the page."""
    if not request.user.is_authenticated:
        return HttpResponse(headers={"HX-Redirect": reverse("login")})
    analysis = get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
    try:
        study = inspections.ask(analysis, _question(request))
    except StudyRefused as refused:
        return render(
            request, "classifier/_study.html", {"refused": refused}, status=refused.status
        )
    return _part(request, study)


def _question(request: HttpRequest) -> Question:
    """Raises StudyRefused."""
    sent = request.POST
    kind, window = sent.get("kind", ""), sent.get("window", "0")
    if kind not in StudyKind.values:
        raise StudyRefused(
            "unknown_kind", "There is no such kind of study.", f"Kinds: {', '.join(StudyKind)}."
        )
    if not (window.isascii() and window.isdigit() and len(window) < 10):
        raise StudyRefused("unknown_window", "A window has a number.", "They count from 0.")
    return Question(StudyKind(kind), int(window), sent.get("label", ""), sent.get("map", ""))


@require_GET
def part(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How a study goes, for htmx; 204 while it is as `seen` says."""
    if not request.user.is_authenticated:
        return HttpResponse(headers={"HX-Redirect": reverse("login")})
    study = Study.objects.for_owner(request.user).filter(pk=pk).first()
    if study is None:
        # Whoever polls for it is on the page of an analysis that is gone.
        return HttpResponse(status=404, headers={"HX-Redirect": reverse("history")})
    if request.GET.get("seen") == study.state:
        return HttpResponse(status=204)
    return _part(request, study)


def _part(request: HttpRequest, study: Study) -> HttpResponse:
    status = 202 if study.unfinished else 200
    response = render(request, "classifier/_study.html", study_context(study), status=status)
    response["Cache-Control"] = "no-store"
    if study.kind == StudyKind.WINDOW and study.state == StudyState.DONE:
        # The page shows it in many places: from the start, then.
        response["HX-Refresh"] = "true"
    return response


def study_context(study: Study) -> dict[str, Any]:
    """For `_study.html`."""
    return {
        "study": study,
        # For data attributes: kept.flac → data-kept.
        "files": [
            (name.partition(".")[0], address)
            for name, address in inspections.addresses(study).items()
            if "/" not in name
        ],
        "figures": json.dumps(study.figures),
    }
