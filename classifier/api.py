"""REST. Every refusal is {code, detail, hint}."""

from typing import Any
from uuid import UUID

from django.contrib.auth import authenticate
from django.http import Http404
from django.urls import reverse
from knox.models import AuthToken
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from classifier import uploads
from classifier.models import Analysis, State
from classifier.serializers import analysis_json
from classifier.uploads import UploadRefused

HINTS = {
    "not_authenticated": "Send the header `Authorization: Token …`; POST /api/v1/token/ gives one.",
    "authentication_failed": "Get a new token from POST /api/v1/token/.",
    "permission_denied": "Sign in as somebody who may do this.",
    "method_not_allowed": "See the Allow header for the methods of this address.",
    "unsupported_media_type": "Send the file as multipart/form-data, in the field `file`.",
    "parse_error": "The body could not be read; send it as its Content-Type says.",
    "invalid": "Send the fields named in `detail`.",
    "not_found": "Check the address, and that the token belongs to the owner.",
}
# Seconds until asking again makes sense.
RETRY_AFTER_S = {State.QUEUED: 2, State.RUNNING: 1}


class BadCredentials(APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "bad_credentials"
    default_detail = "This name and password do not belong together."


HINTS["bad_credentials"] = "Check both; passwords are case-sensitive."


def on_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's answer in our words."""
    if isinstance(error, UploadRefused):
        return _error(error.code, error.detail, error.hint, error.status)
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


class TokenRequest(serializers.Serializer):
    username = serializers.CharField()
    password = serializers.CharField(trim_whitespace=False)


class TokenView(APIView):
    """Username and password in, a token out. It is stored hashed and shown this once."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, request: Request) -> Response:
        form = TokenRequest(data=request.data)
        form.is_valid(raise_exception=True)
        user = authenticate(request, **form.validated_data)
        if user is None:
            raise BadCredentials
        _, token = AuthToken.objects.create(user=user)
        return Response({"token": token})


class UploadForm(serializers.Serializer):
    # An empty file is the doorkeeper's business: it has a better sentence for it.
    file = serializers.FileField(allow_empty_file=True, max_length=None)


class ClipsView(APIView):
    parser_classes = (MultiPartParser,)

    def post(self, request: Request) -> Response:
        form = UploadForm(data=request.data)
        form.is_valid(raise_exception=True)
        file = form.validated_data["file"]
        analysis = uploads.accept(file.chunks(), name=file.name, owner=request.user)
        return Response(
            {"clip": str(analysis.clip_id), "analysis": str(analysis.pk)},
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": reverse("api_analysis", args=[analysis.pk])},
        )


class AnalysisView(APIView):
    def get(self, request: Request, pk: UUID) -> Response:
        analysis = Analysis.objects.for_owner(request.user).filter(pk=pk).first()
        if analysis is None:
            raise Http404
        response = Response(analysis_json(analysis))
        if analysis.unfinished:
            response["Retry-After"] = str(RETRY_AFTER_S[State(analysis.state)])
        return response
