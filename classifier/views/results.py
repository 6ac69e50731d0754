"""The result page of one analysis, and the part of it that changes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from classifier.checkpoints import evaluation, inventory
from classifier.links import checkpoint_page, result_url, shared_page
from classifier.models import EXPLANATIONS, Analysis, Inspection, InspectionKind, ShareLink, State
from classifier.services import inspections, sharing
from classifier.services.dispatch import missing_worker
from classifier.services.inspections import Question
from classifier.services.problems import RequestRefused
from classifier.views import judgements, recording, result_layout
from classifier.views.inspections import inspection_context
from classifier.views.media import playable_copy
from classifier.views.parts import for_htmx, render_part
from classifier.views.readers import Reader, reader_of
from classifier.views.result_layout import Choice
from ml.errors import Problem
from ml.evaluation import Bin
from ml.render_metadata import MIN_REST_S, ArchiveIndex, RenderMetadata

# How often the page of an unfinished analysis asks, by the age of the analysis in seconds.
PACES = ((3, "150ms"), (60, "1s"))
SLOWEST_PACE = "3s"


@login_required
@require_GET
def result(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show the result page.

    Of a recording, `?event=5` opens an event and `?window=3` a window; by default the event with
    the highest confidence is open, or the window that contributes most to the prediction.
    """
    return show(request, get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk))


def show(
    request: HttpRequest, analysis: Analysis, status: int = 200, **further: Any
) -> HttpResponse:
    """Render the owner's result page with `further` context."""
    context = page_context(Reader(request.user), analysis, request.GET)
    return render(request, "classifier/result.html", context | further, status=status)


def page_context(reader: Reader, analysis: Analysis, asked: QueryDict) -> dict[str, Any]:
    """Return the context of a whole result page.

    Parameters
    ----------
    asked : QueryDict
        The page's query, as `result` describes it.
    """
    return _context(reader, analysis, _notice(analysis), asked)


@require_GET
@for_htmx(gone="history")
def part(request: HttpRequest, pk: UUID, token: str = "") -> HttpResponse:
    """Return the changing part of a result page for htmx; 204 if it is as in `seen`."""
    reader = reader_of(request, token)
    analysis = get_object_or_404(reader.analyses, pk=pk)
    notice = _notice(analysis)
    seen = _seen(analysis, notice)
    shown = partial(_context, reader, analysis, notice, QueryDict())
    return render_part(request, "classifier/_result.html", seen, shown)


def _notice(analysis: Analysis) -> Problem | None:
    return missing_worker(analysis.unfinished, analysis.created_at)


def _seen(analysis: Analysis, notice: Problem | None) -> str:
    """Return what the page shows, also the pace of its polling, which then changes."""
    pace = _poll_every(analysis) if analysis.unfinished else ""
    return ".".join(filter(None, (analysis.stage, pace, notice.code if notice else "")))


def _poll_every(analysis: Analysis) -> str:
    """Return how often the page asks: often while the answer is expected at any moment."""
    age_s = (timezone.now() - (analysis.started_at or analysis.created_at)).total_seconds()
    return next((pace for limit_s, pace in PACES if age_s < limit_s), SLOWEST_PACE)


def _context(
    reader: Reader, analysis: Analysis, notice: Problem | None, asked: QueryDict
) -> dict[str, Any]:
    link = reader.link
    context: dict[str, Any] = {
        **reader.context,
        "page_url": _page_url(analysis, link),
        "analysis": analysis,
        "notice": notice,
        "seen": _seen(analysis, notice),
        "clip": analysis.clip,
        "checkpoints": inventory.offered(),
        # Its page needs an account.
        "checkpoint_page": None if link else checkpoint_page(analysis.checkpoint),
        "shared": None if link else shared_context(analysis),
        "rejection": evaluation.rejection(analysis.checkpoint) if analysis.not_sure else None,
    }
    if analysis.unfinished:
        return context | _waiting(analysis)
    metadata = analysis.metadata
    if analysis.state == State.DONE and metadata:
        event, window = None, metadata.shown_window
        if metadata.is_long(analysis.clip.duration_s or 0.0):
            if event := recording.opened_event(analysis, asked):
                window = recording.window_of(metadata, event)
            else:
                window = result_layout.window_of(metadata, asked.get("window", ""))
            context["recording"] = recording.recording_context(analysis, metadata, asked, event)
        if link is None:
            # Only the owner judges, and sees what was said.
            context |= judgements.result_context(analysis, event, long="recording" in context)
        context |= _axes(analysis, metadata, window)
        made = inspections.current(analysis, window)
        found = _activations(analysis, metadata, window, made, link)
        context |= _layout(found, metadata, link)
        label = event.label if event else ""
        choices = result_layout.choices(analysis, metadata, window, found.index, label)
        explained = next((one for one in choices if one.label == label), choices[0])
        if link is None and not analysis.clip.silent:
            made += _first_explanation(analysis, window, explained.label, made)
        context |= {
            "choices": [
                _choice(one, made, link) | {"explained": one is explained} for one in choices
            ],
            "explained": explained,
            "meaning": _meaning(analysis, explained.confidence),
            "audio_key": _audio_key(analysis),
        }
    return context


def _waiting(analysis: Analysis) -> dict[str, Any]:
    """Return what the page of an unfinished analysis shows: pictures that are stored already."""
    context: dict[str, Any] = {"poll_every": _poll_every(analysis)}
    duration_s = analysis.clip.duration_s
    if (early := analysis.early) and duration_s:
        context |= {
            "early": early,
            "early_recording": duration_s >= early.window_s + MIN_REST_S,
            "time_ticks": result_layout.time_ticks(duration_s),
            "frequency_ticks": result_layout.frequency_ticks(early.ticks),
        }
    return context


def shared_context(analysis: Analysis) -> dict[str, Any] | None:
    """Return `shared`, the owner's share link in `_share.html`; None if there is none."""
    link = sharing.link_of(analysis)
    return {"url": shared_page(link), "expires_at": link.expires_at} if link else None


def _page_url(analysis: Analysis, link: ShareLink | None) -> str:
    if link:
        return reverse("share", args=[link.token])
    return reverse("result", args=[analysis.pk])


def _axes(analysis: Analysis, metadata: RenderMetadata, window: int) -> dict[str, Any]:
    duration_s, shown_from_s = analysis.clip.duration_s or 0.0, metadata.start_s(window)
    return {
        "metadata": metadata,
        "time_ticks": result_layout.time_ticks(duration_s),
        "frequency_ticks": result_layout.frequency_ticks(metadata.ticks),
        "window": window,
        "shown_from_s": shown_from_s,
        "shown_to_s": shown_from_s + metadata.window_s,
        "input": result_layout.input_place(metadata, shown_from_s, duration_s),
    }


def _audio_key(analysis: Analysis) -> str:
    """Return what names the audio of the page: the player plays on while it is the same.

    While the analysis runs, it is the upload, which has the key of the clip.
    """
    return str(analysis.pk if playable_copy(analysis) else analysis.clip_id)


def _meaning(analysis: Analysis, confidence: float | None) -> Bin | None:
    """Return how often predictions with a similar confidence were correct, None if unknown.

    Also None if the clip is probably none of the classes: all evaluated clips had one of them.
    """
    if analysis.not_sure or confidence is None:
        return None
    return evaluation.meaning(analysis.checkpoint, confidence)


def _choice(choice: Choice, made: list[Inspection], link: ShareLink | None) -> dict[str, Any]:
    """Return a class with the explanations that were requested before, by kind.

    `picture_url` is that of the picture that the page shows: of the refined one, if it is done.
    """
    found: dict[str, Any] = {
        one.kind: inspection_context(one, link)
        for one in made
        if one.kind in EXPLANATIONS and one.label == choice.label
    }
    shown = [found[kind]["explanation"] for kind in reversed(EXPLANATIONS) if kind in found]
    urls = [one["url"] for one in shown if one]
    return found | {"choice": choice, "picture_url": urls[0] if urls else ""}


def _first_explanation(
    analysis: Analysis, window: int, label: str, made: list[Inspection]
) -> list[Inspection]:
    """Request the explanation that the page shows, if it was never requested; return it.

    It is requested here and not by the page, so that it is computed while the page loads.
    """
    question = Question(InspectionKind.EXPLANATION, window, label)
    if any(one.kind == question.kind and one.label == label for one in made):
        return []
    try:
        return [inspections.ask(analysis, question)]
    except RequestRefused:
        # The page requests what it lacks, and then shows why it is refused.
        return []


@dataclass(frozen=True, slots=True)
class _Activations:
    """The activations of a window.

    Attributes
    ----------
    index : ArchiveIndex or None
        None until they are computed.
    url_of : callable
        Returns the URL of a picture by name.
    pending : Inspection or None
        The unfinished or failed inspection that computes them.
    """

    index: ArchiveIndex | None
    url_of: Callable[[str], str]
    pending: Inspection | None = None


def _activations(
    analysis: Analysis,
    metadata: RenderMetadata,
    window: int,
    made: list[Inspection],
    link: ShareLink | None,
) -> _Activations:
    """Return the activations of the window, from the analysis itself or from an inspection."""
    if window == metadata.shown_window:
        return _Activations(
            metadata.index, lambda name: result_url("map", analysis.pk, name, link=link)
        )
    inspection = next((one for one in made if one.kind == InspectionKind.WINDOW), None)
    if inspection is None or inspection.state != State.DONE:
        return _Activations(None, lambda name: "", inspection)
    pk, index = inspection.pk, ArchiveIndex.from_json(inspection.figures)
    return _Activations(index, lambda name: result_url("inspection_map", pk, name, link=link))


def _layout(
    found: _Activations, metadata: RenderMetadata, link: ShareLink | None
) -> dict[str, Any]:
    if found.index is None:
        return {"pending": inspection_context(found.pending, link) if found.pending else None}
    return result_layout.activations(found.index, metadata, found.url_of)
