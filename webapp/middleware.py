"""Middleware that refuses requests before their body is read."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from ml.errors import Problem

# Allowance for a form's other fields, and for files slightly over the limit: their error message
# names the file, which requires reading the body.
SLACK_BYTES = 1_000_000
LENGTH_REQUIRED = Problem(
    "length_required",
    "The request has no Content-Length header.",
    "Send a Content-Length header instead of using chunked encoding.",
)


def refuse_huge_bodies(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Answer 413 to bodies over twice the upload limit, and 411 to bodies of unknown length.

    The body is not received. A ZIP may be as large as MAX_ZIP_BYTES.
    """

    def answer(request: HttpRequest) -> HttpResponse:
        declared = request.META.get("CONTENT_LENGTH")
        if "HTTP_TRANSFER_ENCODING" in request.META and not declared:
            # Django would treat such a body as empty.
            return _refusal(411, LENGTH_REQUIRED)
        most = 2 * settings.MAX_UPLOAD_BYTES + SLACK_BYTES
        # A whole folder in one body, which only its view reads, piece by piece.
        if request.content_type == "application/zip":
            most = max(most, settings.MAX_ZIP_BYTES)
        if not declared or (declared.isdecimal() and int(declared) <= most):
            return get_response(request)
        detail = f"The request body is larger than {most / 1e6:.0f} MB."
        each_mb = settings.MAX_UPLOAD_BYTES / 1e6
        hint = f"Send the files one at a time, each at most {each_mb:.0f} MB."
        return _refusal(413, Problem("too_large", detail, hint))

    return answer


def _refusal(status: int, problem: Problem) -> JsonResponse:
    """Return the problem and close the connection, so that the rest of the body is not read."""
    return JsonResponse(problem.as_dict(), status=status, headers={"Connection": "close"})
