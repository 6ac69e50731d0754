"""Judgements on the pages: say what a sound is, and see how often the answers agree with it."""

from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from classifier.checkpoints.class_names import display_name
from classifier.links import checkpoint_page
from classifier.models import Analysis, Event, Judgement, State, judgement_of
from classifier.services import judgements
from classifier.services.exports import judged_sounds
from classifier.services.judgements import Precision
from classifier.services.problems import RequestRefused
from classifier.templatetags.sound import clock

KINDS = {"clips": "Whole sounds", "events": "Sounds in recordings"}


@dataclass(frozen=True, slots=True)
class Judging:
    """What a page needs to ask whether an answer is right.

    Attributes
    ----------
    url : str
        Where the judgement is sent.
    key : str
        Id of the part of the page.
    about : str
        What is judged, for the dialog.
    offered : tuple of str
        Classes to agree with: one, or two if the answer is not sure; "" is none of the classes.
    """

    url: str
    key: str
    about: str
    offered: tuple[str, ...]
    said: Judgement | None
    right: bool | None


def of_clip(analysis: Analysis) -> Judging:
    """Return how to judge the clip of a finished analysis."""
    if analysis.clip.silent:
        offered: tuple[str, ...] = ("",)
    elif analysis.not_sure:
        offered = (analysis.label, analysis.second_label)
    else:
        offered = (analysis.label,)
    url = reverse("judge_clip", args=[analysis.pk])
    said, right = analysis.judgement, analysis.right
    return Judging(url, "judgement", analysis.clip.name, offered, said, right)


def of_event(event: Event) -> Judging:
    span = f"{clock(event.start_s, 1)}–{clock(event.end_s, 1)}"
    url, about = reverse("judge_event", args=[event.pk]), f"{display_name(event.label)}, {span}"
    said = judgement_of(event)
    return Judging(url, f"judgement-{event.pk}", about, (event.label,), said, event.right)


def result_context(analysis: Analysis, event: Event | None, *, long: bool) -> dict[str, Any]:
    """Return how to judge what a result page shows: `judging` and `label_choices`.

    Parameters
    ----------
    event : Event or None
        The opened event of a long recording, which is judged instead of the clip.
    """
    judging = of_clip(analysis) if not long else of_event(event) if event else None
    return {"judging": judging, "label_choices": label_choices(analysis)}


def label_choices(analysis: Analysis) -> list[tuple[str, str]]:
    """Return the classes of the analysis's checkpoint with their names, by name."""
    named = ((label, display_name(label)) for label in judgements.classes_of(analysis))
    return sorted(named, key=lambda choice: choice[1])


@login_required
@require_http_methods(["GET", "POST"])
def judge_clip(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show the classes, or save the class of the clip as a whole."""
    mine = Analysis.objects.for_owner(request.user)
    analysis = get_object_or_404(mine, pk=pk, state=State.DONE)
    if request.method == "GET":
        return _page(request, analysis, of_clip(analysis))
    try:
        if "remove" in request.POST:
            judgements.remove(analysis.clip)
        else:
            judgements.judge_clip(analysis, _label(request), request.user)
    except RequestRefused as error:
        return _page(request, analysis, of_clip(analysis), error)
    if not _by_script(request):
        return redirect("result", pk=pk)
    fresh = mine.get(pk=pk)
    return _parts(request, {"judging": of_clip(fresh), "analysis": fresh})


@login_required
@require_http_methods(["GET", "POST"])
def judge_event(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the classes, or save the class of the event."""
    mine = Event.objects.for_owner(request.user).select_related("analysis__clip")
    event = get_object_or_404(mine, pk=pk)
    if request.method == "GET":
        return _page(request, event.analysis, of_event(event))
    try:
        if "remove" in request.POST:
            judgements.remove(event)
        else:
            judgements.judge_event(event, _label(request), request.user)
    except RequestRefused as error:
        return _page(request, event.analysis, of_event(event), error)
    if not _by_script(request):
        return redirect(f"{reverse('result', args=[event.analysis_id])}?event={pk}")
    fresh = mine.get(pk=pk)
    return _parts(request, {"judging": of_event(fresh), "event": fresh})


def _label(request: HttpRequest) -> str:
    """Return the class that was sent; "" for none of them. Only the button `none` sends none."""
    return "" if "none" in request.POST else request.POST.get("label") or "-"


def _by_script(request: HttpRequest) -> bool:
    return request.headers.get("X-Requested-With") == "fetch"


def _parts(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Return the parts of the page that a judgement changes, with the ids of what they replace."""
    return render(request, "classifier/_judged_parts.html", context)


def _page(
    request: HttpRequest, analysis: Analysis, judging: Judging, error: RequestRefused | None = None
) -> HttpResponse:
    """Show the classes on a page of their own, for browsers without scripts."""
    context = {
        "analysis": analysis,
        "judging": judging,
        "label_choices": label_choices(analysis),
        "problem": error.problem if error else None,
    }
    status = error.status if error else 200
    return render(request, "classifier/judgement.html", context, status=status)


@dataclass(frozen=True, slots=True)
class Table:
    """The precision of the classes of one checkpoint, for clips or events, and of all of them."""

    checkpoint: str
    of: str
    title: str
    checkpoint_page: str | None
    rows: list[Precision]
    total: Precision


@login_required
@require_GET
def checked(request: HttpRequest) -> HttpResponse:
    """Show how often the answers with each class were right."""
    groups = groupby(judgements.precision(request.user), attrgetter("of", "checkpoint"))
    context = {
        "tables": [_table(of, checkpoint, list(rows)) for (of, checkpoint), rows in groups],
        "exportable": judged_sounds.exist(request.user),
    }
    return render(request, "classifier/checked.html", context)


def _table(of: str, checkpoint: str, rows: list[Precision]) -> Table:
    rows.sort(key=lambda one: (-one.judged, display_name(one.label)))
    right = sum(one.right for one in rows)
    wrong = sum(one.judged for one in rows) - right
    total = Precision(checkpoint, of, "", right, {"": wrong} if wrong else {})
    return Table(checkpoint, of, KINDS[of], checkpoint_page(checkpoint), rows, total)
