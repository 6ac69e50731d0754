"""Errors of the API. Every error response is {code, detail, hint}."""

from typing import Any

from django.conf import settings
from django.http import Http404
from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail, Throttled, ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response
from rest_framework.views import exception_handler

from classifier.services.problems import RequestRefused
from ml.errors import Problem

HINTS = {
    "not_authenticated": "Send a token from POST /api/v1/token/ as `Authorization: Token …`.",
    "authentication_failed": "Get a new token from POST /api/v1/token/.",
    "permission_denied": "Sign in as a user with the required permission.",
    "method_not_allowed": "Use one of the methods listed in the Allow header.",
    "unsupported_media_type": "Send the body as JSON with `Content-Type: application/json`.",
    "parse_error": "Check that the body matches its Content-Type.",
    "invalid": "Correct the fields named in `detail`.",
    "throttled": "Wait for the number of seconds given in the Retry-After header.",
    "no_such_page": "Request the first page again, without `cursor`.",
    "no_such_batch": "GET /api/v1/batches/ lists your batches.",
    "no_such_tag": "The clips of GET /api/v1/clips/ have `tags`.",
    "not_found": "Check the URL, and make sure that the token belongs to the owner.",
}

# After this time some queued analyses may be done.
QUOTA_WAIT_S = 60


class BadCredentials(APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "bad_credentials"
    default_detail = "The username or password is wrong."


class Locked(Throttled):
    """Too many failed sign-in attempts for this username from this IP address."""

    default_code = "locked"

    def __init__(self) -> None:
        super().__init__()
        self.wait = 60 * settings.LOCKED_MINUTES
        self.detail = ErrorDetail(
            "There were too many failed sign-in attempts for this username from your IP address.",
            "locked",
        )


HINTS["locked"] = HINTS["throttled"]
HINTS["bad_credentials"] = "Check the username and password. Passwords are case-sensitive."


def on_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return DRF's error response as {code, detail, hint}; None for unexpected errors."""
    if isinstance(error, RequestRefused):
        refusal = Response(error.problem.as_dict(), status=error.status)
        if error.status == 429:
            refusal["Retry-After"] = str(QUOTA_WAIT_S)
        return refusal
    response = exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, Http404):
        code = "not_found"
        detail = "The requested object does not exist or belongs to another user."
    elif isinstance(error, ValidationError):
        code, detail = "invalid", _sentence(error.detail)
    else:
        assert isinstance(error, APIException)
        # Token errors come as a dict; all others as one sentence with a code.
        codes = error.get_codes()
        code = codes if isinstance(codes, str) else error.default_code
        detail = _sentence(error.detail)
    problem = Problem(code, detail, _hint(code, context))
    kept = ("WWW-Authenticate", "Retry-After", "Allow")
    headers = {name: response[name] for name in kept if name in response}
    return Response(problem.as_dict(), status=response.status_code, headers=headers)


def _hint(code: str, context: dict[str, Any]) -> str:
    if code == "unsupported_media_type" and MultiPartParser in context["view"].parser_classes:
        return "Send the file as multipart/form-data, in the field `file`."
    return HINTS.get(code, "See the API reference at /api/docs/.")


def _sentence(detail: Any) -> str:
    """Return DRF's nested detail as one sentence."""
    if isinstance(detail, dict):
        return " ".join(f"{field}: {_sentence(value)}" for field, value in detail.items())
    if isinstance(detail, list):
        return " ".join(_sentence(value) for value in detail)
    return str(detail)
