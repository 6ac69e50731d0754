"""Middleware that refuses requests before their body is read."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from ml.errors import Problem

# Room for a form's other fields; and for what is a little too large to get its own clear answer,
# which needs the body to be read.
SLACK_BYTES = 1_000_000
LENGTH_REQUIRED = Problem(
    "length_required",
    "The request does not say how long its body is.",
    "Send it with a Content-Length, not in chunks.",
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
            # Django would take such a body for an empty one.
            return _refusal(411, LENGTH_REQUIRED)
        most = 2 * settings.MAX_UPLOAD_BYTES + SLACK_BYTES
        # A whole folder in one body, which its view reads piece by piece and nobody before it.
        if request.content_type == "application/zip":
            most = max(most, settings.MAX_ZIP_BYTES)
        if not declared or (declared.isdecimal() and int(declared) <= most):
            return get_response(request)
        detail = f"What was sent is larger than {most / 1e6:.0f} MB."
        each_mb = settings.MAX_UPLOAD_BYTES / 1e6
        hint = f"Send files one by one, of at most {each_mb:.0f} MB each."
        return _refusal(413, Problem("too_large", detail, hint))

    return answer


def _refusal(status: int, problem: Problem) -> JsonResponse:
    """Return the problem and close the connection, so that the rest of the body is not read."""
    return JsonResponse(problem.as_dict(), status=status, headers={"Connection": "close"})
