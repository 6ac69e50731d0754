"""The API's own description: OpenAPI 3.1, made from the code that answers."""

from collections.abc import Callable
from functools import cache
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiJsonRenderer2, OpenApiYamlRenderer
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

UUID = "9f1c2b7e-3f4a-4d52-8a39-0d6c2f1e7b10"
MOMENT = "2026-11-22T09:14:03.512000Z"
CHECKPOINT = "esc50-folds123@4f6a1c0d9b2e"
MAP = {
    "url": f"/media/analyses/{UUID}/maps/layer4.png",
    "shape": [4, 10],
    "channels": 512,
    "low": 0.0,
    "high": 1.73214,
}
GRID = {"shape": [2, 3], "values": [[0.1, 0.2, 0.3], [0.0, 0.5, 1.0]]}
ROW = {
    "id": UUID,
    "clip": UUID,
    "name": "dawn.wav",
    "state": "done",
    "step": None,
    "progress": 1.0,
    "label": "chirping_birds",
    "confidence": 0.924,
    "duration_s": 5.0,
    "checkpoint": CHECKPOINT,
    "created_at": MOMENT,
    "finished_at": MOMENT,
    "error": None,
}
# One example for each name of a field, wherever it stands; a test sees that none is missing.
EXAMPLES: dict[str, Any] = {
    **ROW,
    "again": True,
    "analyses": [ROW],
    "analysis": UUID,
    "audio": f"/media/clips/{UUID}/audio",
    "audio_data": "UklGRiQAAABXQVZFZm10IBAAAAABAAEA",
    "channels": 1,
    "chunk_clips": 1,
    "class": "chirping_birds",
    "code": "not_found",
    "created_after": "2026-11-22T09:00:00Z",
    "created_before": "2026-11-23T09:00:00Z",
    "cursor": "cD0yMDI2LTExLTIyKzA5JTNBMTQlM0EwMy41MTIlMkIwMCUzQTAw",
    "decoding_s": 0.0121,
    "detail": "There is nothing here.",
    "drawing_s": 0.0514,
    "duplicate": False,
    "duration": 5.0,
    "error": {
        "code": "damaged",
        "detail": "The sound breaks off.",
        "hint": "Copy it from its source again.",
    },
    "expires_at": "2026-12-22T09:14:03.512000Z",
    "expires_in_days": 30,
    "file": "(the bytes of dawn.wav)",
    "first_used_at": MOMENT,
    "format": "WAV",
    "high": 1.73214,
    "hint": "Check the address, and that the token belongs to the owner.",
    "input_spectrogram": GRID,
    "last_used_at": MOMENT,
    "limit": 50,
    "listening_s": 0.0432,
    "low": 0.0,
    "maps": {"layer4": MAP},
    "min_confidence": 0.8,
    "next": "http://localhost:8000/api/v1/analyses/?cursor=cD0yMDI2LTExLTIyKzA5JTNBMTQlM0EwMy41MTIlMkIwMCUzQTAw",
    "password": "correct horse battery staple",
    "predictions": [{"class": "chirping_birds", "confidence": 0.924}],
    "previous": None,
    "results": [],
    "sample_rate": 44100,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "shape": [4, 10],
    "size_bytes": 441044,
    "spectrogram": f"/media/analyses/{UUID}/spectrogram.png",
    "timings": {"decoding_s": 0.0121, "listening_s": 0.0432, "drawing_s": 0.0514, "chunk_clips": 1},
    "token": "4bd0e6a3c1…",
    "url": MAP["url"],
    "username": "anna",
    "values": GRID["values"],
    "visualization": {"conv1": GRID},
    "waveform": {"values": [-0.12, 0.11], "sample_rate": 44100, "duration": 5.0},
}
PAGE_WORDS = {
    "next": "Address of the page of older rows; null on the last page.",
    "previous": "Address of the page of newer rows; null on the first page.",
    "results": "The rows of this page, newest first.",
}
ANSWERS = {
    "200": "As asked.",
    "201": "Made.",
    "202": "Accepted; `Location` says where to ask for the result.",
    "204": "Gone.",
}
REFUSALS = {
    "400": "Something sent is not understood; nothing was done.",
    "401": "No token, or one that is wrong, revoked or expired.",
    "404": "There is nothing here, or it belongs to somebody else.",
    "409": "It cannot be done as things stand.",
    "413": "What was sent is too large.",
    "415": "The body is of a type that is not understood here.",
    "500": "Something broke on our side; it was written to the log.",
    "429": "Too much in this minute; `Retry-After` says how many seconds to wait.",
}
Answer = type[BaseSerializer] | OpenApiTypes | OpenApiResponse | BaseSerializer | None


def operation(
    name: str,
    summary: str,
    answers: dict[int, Answer],
    *,
    tag: str,
    words: str = "",
    body: Any = None,
    parameters: tuple[Any, ...] = (),
    refusals: tuple[int, ...] = (),
) -> Callable[..., Any]:
    """Describes a view's method; the refusals that every operation knows are added later."""
    return extend_schema(
        operation_id=name,
        summary=summary,
        description=words or summary,
        tags=[tag],
        request=body,
        responses={**answers, **dict.fromkeys(refusals, PROBLEM)},
        parameters=list(parameters),
    )


PROBLEM = OpenApiTypes.OBJECT  # stands in for the error schema until `complete` puts it there


def header(name: str, words: str, status: tuple[int, ...], kind: type = str) -> OpenApiParameter:
    """A header of the answer."""
    return OpenApiParameter(
        name, kind, OpenApiParameter.HEADER, description=words, response=list(status)
    )


LOCATION = header("Location", "Address of the analysis.", (200, 202))


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "classifier.tokens.TokenAuthentication"
    name = "token"
    priority = 1

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token …`, with a token from `POST /api/v1/token/`.",
        }


def complete(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """Adds what is true of every operation and every field: refusals, headers, examples."""
    schemas = result["components"]["schemas"]
    for path, methods in result["paths"].items():
        for method, described in methods.items():
            _refusals(path, method, described)
            for parameter in described.get("parameters", ()):
                parameter.setdefault("description", "Its id, as lists and answers give it.")
                _example(parameter, parameter["name"])
                _no_nul(parameter["schema"])
    for name, schema in schemas.items():
        paged = name.startswith("Paginated")
        if paged:
            schema["required"] = ["next", "previous", "results"]
        for field, described in schema.get("properties", {}).items():
            if paged:
                described.pop("example", None)
                if described.pop("nullable", False):  # OpenAPI 3.1 knows no such word
                    described["type"] = [described["type"], "null"]
                described["description"] = PAGE_WORDS[field]
            _example(described, field)
            if name.endswith("Request"):
                _no_nul(described)
    return result


def _refusals(path: str, method: str, described: dict[str, Any]) -> None:
    answers = described["responses"]
    codes = ["400", "429"]
    if any("token" in way for way in described.get("security", [])):
        codes.append("401")
    lists = any(parameter["name"] == "cursor" for parameter in described.get("parameters", ()))
    if "{" in path or lists:
        codes.append("404")
    if "requestBody" in described:
        codes += ["413", "415"]
    for code in sorted({*codes, *(code for code in answers if code >= "400")}):
        answers[code] = {
            "description": REFUSALS[code],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if code == "429":
            answers[code]["headers"] = {
                "Retry-After": {
                    "schema": {"type": "integer"},
                    "description": "Seconds until asking again makes sense.",
                }
            }
    for code, answer in answers.items():
        answer["description"] = answer.get("description") or ANSWERS[code]
    described["responses"] = dict(sorted(answers.items()))


def _no_nul(schema: dict[str, Any]) -> None:
    """No text that is sent may hold NUL characters."""
    if schema.get("type") == "string" and not {"format", "pattern", "enum"} & set(schema):
        schema["pattern"] = r"^[^\u0000]*$"


def _example(described: dict[str, Any], name: str) -> None:
    if name in EXAMPLES and "examples" not in described and "in" not in described:
        described["examples"] = [EXAMPLES[name]]
    elif name in EXAMPLES and "in" in described:
        described.setdefault("example", EXAMPLES[name])


@cache
def _schema() -> dict[str, Any]:
    return SchemaGenerator().get_schema(request=None, public=True)


class SchemaView(APIView):
    """JSON, or YAML for `Accept: application/vnd.oai.openapi`. Made once per process."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(_schema())
