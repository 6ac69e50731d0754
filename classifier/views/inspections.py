"""Inspections on the result page: request one, and show its state."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST
from rest_framework.request import Request
from rest_framework.views import APIView

from classifier.checkpoints import channel_examples
from classifier.links import inspection_files, result_url
from classifier.models import EXPLANATIONS, Analysis, Inspection, InspectionKind, ShareLink, State
from classifier.services import inspections, visitors
from classifier.services.dispatch import missing_worker
from classifier.services.inspections import Question
from classifier.services.problems import RequestRefused, refusal
from classifier.services.rate_limits import VisitorInspectionThrottle
from classifier.views import result_layout
from classifier.views.parts import for_htmx, render_part
from classifier.views.readers import Reader, reader_of
from ml.render_metadata import ExplanationIndex

# A page asks often at first, because most inspections take a fraction of a second.
SOON_S = 3


@require_POST
@for_htmx(gone="history")
def ask(request: HttpRequest, pk: UUID, token: str = "") -> HttpResponse:
    """Request an inspection by kind, window, label and map; return its part of the page."""
    reader = reader_of(request, token)
    if not reader.may_ask:
        raise Http404
    analysis = get_object_or_404(reader.analyses, pk=pk)
    try:
        inspection = _ask(request, reader, analysis)
    except RequestRefused as refused:
        context = {"problem": refused.problem}
        return render(request, "classifier/_inspection.html", context, status=refused.status)
    return _part(request, inspection, reader)


def _ask(request: HttpRequest, reader: Reader, analysis: Analysis) -> Inspection:
    """Ask for the owner, or within limits for a visitor. Raises RequestRefused."""
    question = _question(request)
    if reader.link is None:
        return inspections.ask(analysis, question)
    throttle = VisitorInspectionThrottle()
    if not throttle.allow_request(Request(request), APIView()):
        limit = throttle.num_requests
        detail = f"You have requested more than {limit} inspections in one minute."
        hint = f"Try again in {throttle.wait():.0f} s, or sign in."
        raise refusal("too_many_requests", detail, hint, status=429)
    return visitors.explain(analysis, question)


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
def part(request: HttpRequest, pk: UUID, token: str = "") -> HttpResponse:
    """Return the state of an inspection for htmx; 204 if it is as in `seen`."""
    reader = reader_of(request, token)
    return _part(request, get_object_or_404(reader.inspections, pk=pk), reader)


def _part(request: HttpRequest, inspection: Inspection, reader: Reader) -> HttpResponse:
    status, template = 202 if inspection.unfinished else 200, "classifier/_inspection.html"
    shown = inspection_context(inspection, reader.link)
    context = {"shown": shown, **reader.context}
    return render_part(request, template, shown["seen"], lambda: context, status)


def inspection_context(inspection: Inspection, link: ShareLink | None = None) -> dict[str, Any]:
    """Return `shown`, the context of `_inspection.html`.

    Parameters
    ----------
    link : ShareLink or None
        The share link under which the page is seen.
    """
    soon = timezone.now() - inspection.created_at < timedelta(seconds=SOON_S)
    notice = missing_worker(inspection.unfinished, inspection.created_at)
    pace = "" if soon or not inspection.unfinished else "slow"
    code = notice.code if notice else ""
    return {
        "inspection": inspection,
        # The part is rendered again when the pace of its polling changes.
        "seen": ".".join(filter(None, (inspection.state, pace, code))),
        "poll_every": "1s" if pace else "60ms",
        "notice": notice,
        # For data attributes: kept.flac → data-kept.
        "files": [
            (name.partition(".")[0], address)
            for name, address in inspection_files(inspection, link).items()
            if "/" not in name
        ],
        "figures": json.dumps(inspection.figures),
        "explanation": _explanation(inspection, link),
    }


def _explanation(inspection: Inspection, link: ShareLink | None) -> dict[str, Any] | None:
    if inspection.kind not in EXPLANATIONS or inspection.state != State.DONE:
        return None
    examples = channel_examples.of(inspection.analysis.checkpoint)
    start_s = inspection.figures["start_s"]
    times_s = {"shown_from_s": start_s, "shown_to_s": start_s + inspection.figures["window_s"]}
    return times_s | result_layout.explanation(
        ExplanationIndex.from_json(inspection.figures),
        lambda name: result_url("inspection_map", inspection.pk, name, link=link),
        lambda stage, number: examples.get(stage, {}).get(number, ()),
    )
