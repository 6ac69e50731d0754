"""Errors of the API. Every error response is {code, detail, hint}."""

from typing import Any

from django.conf import settings
from django.http import Http404
from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail, Throttled, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from classifier.services.problems import RequestRefused
from ml.errors import Problem

HINTS = {
    "not_authenticated": "Send the header `Authorization: Token …`; POST /api/v1/token/ gives one.",
    "authentication_failed": "Get a new token from POST /api/v1/token/.",
    "permission_denied": "Sign in as somebody who may do this.",
    "method_not_allowed": "See the Allow header for the methods of this address.",
    "unsupported_media_type": "Send the file as multipart/form-data, in the field `file`.",
    "parse_error": "The body could not be read; send it as its Content-Type says.",
    "invalid": "Send the fields named in `detail`.",
    "throttled": "Wait as long as the header Retry-After says, in seconds.",
    "no_such_page": "Start again without `cursor`.",
    "no_such_batch": "GET /api/v1/batches/ lists yours.",
    "not_found": "Check the address, and that the token belongs to the owner.",
}

# Some of what waits is heard by then, perhaps.
QUOTA_WAIT_S = 60


class BadCredentials(APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "bad_credentials"
    default_detail = "This name and password do not belong together."


class Locked(Throttled):
    """Too many failed attempts for this name from this address."""

    default_code = "locked"

    def __init__(self) -> None:
        super().__init__()
        self.wait = 60 * settings.LOCKED_MINUTES
        self.detail = ErrorDetail(
            "This name was tried with wrong passwords too often from your address.", "locked"
        )


HINTS["locked"] = HINTS["throttled"]
HINTS["bad_credentials"] = "Check both; passwords are case-sensitive."


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
        code, detail = "not_found", "There is nothing here."
    elif isinstance(error, ValidationError):
        code, detail = "invalid", _sentence(error.detail)
    else:
        assert isinstance(error, APIException)
        # A token's refusal comes as a dict; everything else as one sentence with a code.
        codes = error.get_codes()
        code = codes if isinstance(codes, str) else error.default_code
        detail = _sentence(error.detail)
    problem = Problem(code, detail, HINTS.get(code, "See the documentation."))
    kept = ("WWW-Authenticate", "Retry-After", "Allow")
    headers = {name: response[name] for name in kept if name in response}
    return Response(problem.as_dict(), status=response.status_code, headers=headers)


def _sentence(detail: Any) -> str:
    """Return DRF's nested detail as one sentence."""
    if isinstance(detail, dict):
        return " ".join(f"{field}: {_sentence(value)}" for field, value in detail.items())
    if isinstance(detail, list):
        return " ".join(_sentence(value) for value in detail)
    return str(detail)
