"""The front page for people without an account: an example, and one sound of their own to try."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from csp.constants import SELF
from csp.decorators import csp_update
from django.conf import settings
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    QueryDict,
)
from django.shortcuts import redirect, render
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST, require_safe
from rest_framework.request import Request
from rest_framework.views import APIView

from classifier.checkpoints import inventory
from classifier.checkpoints.class_names import display_name
from classifier.models import ShareLink, State
from classifier.services import uploads, visitors
from classifier.services.file_responses import ranged
from classifier.services.problems import RequestRefused, refusal
from classifier.services.rate_limits import TryThrottle
from classifier.services.samples import EXAMPLE, sample_names, sample_path
from classifier.views import results, sent_sounds
from classifier.views.parts import from_script, other_extensions, render_part
from classifier.views.readers import Reader, reader_of

# For pages that play a recording from a blob: URL before it is sent.
PLAYS_RECORDINGS = {"media-src": [SELF, "blob:"]}
# Slightly above the bit rate that record.js requests.
RECORDED_BYTES_PER_S = 20_000


def front(request: HttpRequest) -> HttpResponse:
    """Show the front page to somebody who is not signed in."""
    default = inventory.find("")
    context = {
        **_limits(),
        **_example(),
        "known": sorted(default.info.classes, key=display_name) if default else [],
        "origin": settings.ORIGIN,
    }
    return render(request, "classifier/front.html", context)


@require_GET
def example_part(request: HttpRequest) -> HttpResponse:
    """Return the example for htmx; 204 if it is as in `seen`."""
    shown = _example()
    return render_part(request, "classifier/_example.html", shown["example_state"], lambda: shown)


@require_safe
def sample_sound(request: HttpRequest, name: str) -> HttpResponseBase:
    """Return a sample sound, or the requested range of it."""
    if name not in sample_names():
        raise Http404
    response = ranged(request, sample_path(name), "audio/flac")
    response["Cache-Control"] = "public, max-age=3600"
    return response


@csp_update(PLAYS_RECORDINGS)
@require_POST
def try_sound(request: HttpRequest) -> HttpResponse:
    """Accept one sound and go to its result, whose link expires with it.

    The page's script gets the URL of the result, or the problem, as JSON. It is an ordinary upload
    of somebody who has signed in since the front page was opened.
    """
    if not settings.VISITORS:
        raise Http404
    try:
        link = None if request.user.is_authenticated else _tried(request)
        address = reverse("share", args=[link.token]) if link else _uploaded(request)
    except RequestRefused as refused:
        return _refused(request, refused)
    response: HttpResponse = redirect(address)
    if from_script(request):
        response = JsonResponse({"url": address}, status=202)
    if link:
        sent_sounds.remember(request, response, link)
    return response


@require_POST
def delete(request: HttpRequest, token: str) -> HttpResponse:
    """Delete a visitor's sound and its result at once. Only the browser that sent it may do it."""
    reader = reader_of(request, token)
    if reader.link is None or not reader.is_sender:
        raise Http404
    visitors.delete_sound(reader.link)
    return render(request, "classifier/visitor_deleted.html", _limits())


@dataclass(frozen=True, slots=True)
class _Sent:
    """The file of the form, or the sample that it names."""

    chunks: Iterable[bytes]
    name: str
    size_bytes: int


def _uploaded(request: HttpRequest) -> str:
    """Accept a sound of a signed-in user; return the URL of its result. Raises RequestRefused."""
    sent = _sent(request)
    analysis = uploads.accept(sent.chunks, name=sent.name, owner=request.user)
    return reverse("result", args=[analysis.pk])


def _tried(request: HttpRequest) -> ShareLink:
    """Accept a sound of a visitor; return the link to its result. Raises RequestRefused.

    A refused sound does not count towards the limit of the address.
    """
    throttle = TryThrottle()
    _count(request, throttle)
    try:
        sent = _sent(request)
        return visitors.accept(sent.chunks, name=sent.name, size_bytes=sent.size_bytes)
    except (RequestRefused, Http404):
        throttle.give_back()
        raise


def _count(request: HttpRequest, throttle: TryThrottle) -> None:
    """Count a sound of this address. Raises RequestRefused."""
    if not throttle.allow_request(Request(request), APIView()):
        minutes = -(-int(throttle.wait()) // 60)
        raise refusal(
            "too_many_tries",
            f"Your IP address has sent {settings.VISITOR_TRIES_PER_HOUR} sounds within an hour, "
            "which is the limit without an account.",
            f"Try again in {minutes} minute{pluralize(minutes)}, or sign in.",
            status=429,
        )


def _sent(request: HttpRequest) -> _Sent:
    """Return the sound of the form. Raises RequestRefused."""
    if name := request.POST.get("sample"):
        if name not in sample_names():
            raise Http404
        path = sample_path(name)
        return _Sent([path.read_bytes()], path.name, path.stat().st_size)
    file = uploads.one_file(request.FILES)
    if file is None:
        raise refusal("no_file", "No file was sent.", "Choose a sound file.")
    return _Sent(file.chunks(), file.name or "", file.size)


def _refused(request: HttpRequest, refused: RequestRefused) -> HttpResponse:
    if from_script(request):
        return JsonResponse(refused.problem.as_dict(), status=refused.status)
    context = {**_limits(), "problem": refused.problem}
    return render(request, "classifier/try_refused.html", context, status=refused.status)


def _limits() -> dict[str, Any]:
    """Return what the form says."""
    most_bytes = settings.VISITOR_MAX_BYTES
    return {
        "visitors_open": settings.VISITORS,
        "sign_up_open": settings.SIGN_UP_OPEN,
        "samples": sample_names(),
        "most_mb": most_bytes // 10**6,
        "most_bytes": most_bytes,
        "other_extensions": other_extensions(),
        "most_s": settings.VISITOR_MAX_DURATION_S,
        "record_most_s": min(settings.VISITOR_MAX_DURATION_S, most_bytes // RECORDED_BYTES_PER_S),
        "keep_minutes": settings.VISITOR_KEEP_MINUTES,
    }


def _example() -> dict[str, Any]:
    """Return the context of `_example.html`.

    `example_state` is "done" once its explanation is there too, "waiting" before, "failed" if it
    cannot be shown.
    """
    context: dict[str, Any] = {"example_name": EXAMPLE, "example_state": "failed"}
    try:
        link = visitors.example()
        made = visitors.example_explanation(link.analysis) if link else None
    except RequestRefused:  # the disk is full
        link = None
    if link is not None:
        analysis = link.analysis
        waits = analysis.unfinished or (made is not None and made.unfinished)
        if waits:
            context["example_state"] = "waiting"
        elif analysis.state == State.DONE:
            reader = Reader(analysis.owner, link)
            context |= results.page_context(reader, analysis, QueryDict())
            context["example_state"] = "done"
    return context
