"""Every refusal is {code, detail, hint}."""

from typing import Any

from django.conf import settings
from django.http import Http404
from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail, Throttled, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from classifier.services.inspections import InspectionRefused
from classifier.services.uploads import UploadRefused

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


class Refused(Exception):
    """What was asked for cannot be had, and why."""

    def __init__(self, code: str, detail: str, hint: str, status: int) -> None:
        super().__init__(detail)
        self.code, self.detail, self.hint, self.status = code, detail, hint, status


class BadCredentials(APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "bad_credentials"
    default_detail = "This name and password do not belong together."


class Locked(Throttled):
    """This name was tried too often from this address."""

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
    """DRF's answer in our words."""
    if isinstance(error, (UploadRefused, InspectionRefused, Refused)):
        refusal = _error(error.code, error.detail, error.hint, error.status)
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
    return _error(
        code, detail, HINTS.get(code, "See the documentation."), response.status_code, response
    )


def _error(
    code: str, detail: str, hint: str, status_code: int, like: Response | None = None
) -> Response:
    response = Response({"code": code, "detail": detail, "hint": hint}, status=status_code)
    for header in ("WWW-Authenticate", "Retry-After", "Allow"):
        if like is not None and header in like:
            response[header] = like[header]
    return response


def _sentence(detail: Any) -> str:
    """DRF's nested detail as one sentence."""
    if isinstance(detail, dict):
        return " ".join(f"{field}: {_sentence(value)}" for field, value in detail.items())
    if isinstance(detail, list):
        return " ".join(_sentence(value) for value in detail)
    return str(detail)
