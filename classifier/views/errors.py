"""Responses for requests that no view answers: 404, 400 and 500."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from ml.errors import Problem

NOT_FOUND = Problem(
    "not_found",
    "Nothing was found at this URL.",
    "Check the URL, and make sure that you are using the owner's account or token.",
)
BAD_REQUEST = Problem(
    "bad_request",
    "The request could not be understood.",
    "Send fewer fields or files at once, and use the configured URL of this server.",
)
INTERNAL = Problem(
    "internal",
    "An internal error occurred and was logged.",
    "Try again in a minute.",
)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _fault(request, 404, NOT_FOUND)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _fault(request, 400, BAD_REQUEST)


def server_error(request: HttpRequest) -> HttpResponse:
    return _fault(request, 500, INTERNAL)


def _fault(request: HttpRequest, status: int, problem: Problem) -> HttpResponse:
    """Return JSON for API clients, and a page that needs no database for everyone else."""
    if request.path.startswith("/api/"):
        return JsonResponse(problem.as_dict(), status=status)
    if status == 404:
        shared = request.path.startswith("/s/")
        return render(request, "404.html", {"shared": shared}, status=404)
    return HttpResponse(render_to_string("fault.html", problem.as_dict()), status=status)
