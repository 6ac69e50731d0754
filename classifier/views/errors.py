"""Responses for requests that no view answers: 404, 400 and 500."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from ml.errors import Problem

NOT_FOUND = Problem(
    "not_found",
    "Nothing was found at this address.",
    "Check the address, and that you use the account or token of the owner.",
)
BAD_REQUEST = Problem(
    "bad_request",
    "The request could not be understood.",
    "Send fewer fields or files at once, and use the configured address of this server.",
)
INTERNAL = Problem(
    "internal",
    "An internal error occurred. It was logged.",
    "Try again in a minute.",
)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _fault(request, 404, NOT_FOUND)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _fault(request, 400, BAD_REQUEST)


def server_error(request: HttpRequest) -> HttpResponse:
    return _fault(request, 500, INTERNAL)


def _fault(request: HttpRequest, status: int, problem: Problem) -> HttpResponse:
    """Return JSON for API clients, and for others a page that needs no database."""
    if request.path.startswith("/api/"):
        return JsonResponse(problem.as_dict(), status=status)
    if status == 404:
        return render(request, "404.html", status=404)
    return HttpResponse(render_to_string("fault.html", problem.as_dict()), status=status)
