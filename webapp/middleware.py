"""Middleware: refuse bodies unread, add a missing slash, keep share links out of caches."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import is_valid_path

from ml.errors import Problem

# Allowance for a form's other fields, and for files slightly over the limit: their error message
# names the file, which requires reading the body.
SLACK_BYTES = 1_000_000
LENGTH_REQUIRED = Problem(
    "length_required",
    "The request has no Content-Length header.",
    "Send a Content-Length header instead of using chunked encoding.",
)
HTTPS_REQUIRED = Problem(
    "https_required",
    "This server accepts data only over HTTPS; nothing was stored.",
    f"Send the request to {settings.ORIGIN}.",
)
PREFIX = Problem(
    "path_prefix",
    "Sonoscope cannot run under a path such as /sono/.",
    "Give it a host name of its own, and configure the proxy to forward all paths unchanged.",
)
# Requests with these methods have no body, and clients follow their redirects correctly.
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}

View = Callable[[HttpRequest], HttpResponse]


def refuse_misdirected(get_response: View) -> View:
    """Answer 400 to requests under a path prefix, and to data sent to a public server over HTTP.

    Django would redirect the latter to HTTPS, and most clients then send a GET without the data.
    """

    def answer(request: HttpRequest) -> HttpResponse:
        prefix = request.META.get("HTTP_X_FORWARDED_PREFIX") or request.META.get("SCRIPT_NAME", "")
        if prefix.strip("/"):
            return _refusal(400, PREFIX)
        sends = request.method not in SAFE_METHODS
        if sends and settings.SECURE_SSL_REDIRECT and not request.is_secure():
            return _refusal(400, HTTPS_REQUIRED)
        return get_response(request)

    return answer


def add_slash(get_response: View) -> View:
    """Handle a request that sends data without the final slash like the one with it.

    Django would redirect it, and most clients then send a GET without the data.
    """

    def answer(request: HttpRequest) -> HttpResponse:
        path = request.path_info
        sends = request.method not in SAFE_METHODS
        if sends and not path.endswith("/") and not is_valid_path(path):
            # Without a page at that path either, the answer is 404.
            request.path_info = request.path = f"{path}/"
        return get_response(request)

    return answer


def unlist_shared(get_response: View) -> View:
    """Keep search engines and shared caches away from everything under a share link."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.path_info.startswith("/s/"):
            response["X-Robots-Tag"] = "noindex, nofollow"
            response.setdefault("Cache-Control", "private, no-store")
        return response

    return answer


def refuse_huge_bodies(get_response: View) -> View:
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
