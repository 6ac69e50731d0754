"""The API's OpenAPI 3.1 description, generated from the views and serializers."""

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiJsonRenderer2, OpenApiYamlRenderer
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from classifier.checkpoints import inventory

DESCRIPTION = """\
A sound goes in, one of 50 labels and pictures of the feature maps come out.

1. `POST /api/v1/token/` with your name and password gives a token.
2. `POST /api/v1/clips/` with a sound file answers 202 and `Location`.
3. `GET` that address as `Retry-After` says, until `state` is `done` or `failed`.

Whole folders go to `POST /api/v1/batches/`, file by file.

Send the token as `Authorization: Token …`. Every refusal is `{"code", "detail", "hint"}`.
Requests are counted by the minute: `X-RateLimit-Limit`, `X-RateLimit-Remaining` and
`X-RateLimit-Reset` (seconds) say where you are, and a 429 says when in `Retry-After`.
Lists come newest first, with `next` and `previous` as whole addresses to follow.
"""
# In the order in which one needs them.
TAGS = {
    "tokens": "Who asks. Every other request carries one.",
    "clips": "The sounds you sent. To send one is to have it analysed.",
    "analyses": "What a checkpoint heard in a clip, and what it looked like inside.",
    "inspections": "Details of one window of a finished analysis, made on request.",
    "batches": "Many sounds that belong together: a folder, sent file by file.",
    "checkpoints": "The weights that can listen here, and what each is worth.",
    "compatibility": "For clients of the Audio CNN Visualizer: one request, one answer.",
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
    "429": "Too much in this minute; `Retry-After` says how many seconds to wait.",
    "507": "There is no room left to store it; send it again later.",
    "500": "Something broke on our side; it was written to the log.",
}
# By the name of a field: of texts and numbers whose kind alone tells too little.
EXAMPLES = {
    "audio_data": "UklGRiQAAABXQVZFZm10IBAAAAABAAEA",
    "channels": 1,
    "checkpoint": "esc50-folds1234@4f6a1c0d9b2e",
    "class": "chirping_birds",
    "code": "not_found",
    "confidence": 0.924,
    "detail": "There is nothing here.",
    "duration_s": 5.0,
    "expires_in_days": 30,
    "file": "(the bytes of dawn.wav)",
    "format": "WAV",
    "hint": "Check the address, and that the token belongs to the owner.",
    "kind": "sound",
    "label": "chirping_birds",
    "map": "",
    "name": "garden",
    "password": "correct horse battery staple",
    "path": "morning/dawn.wav",
    "sample_rate": 44100,
    "token": "4bd0e6a3c1…",
    "username": "anna",
    "window": 0,
}
Answer = type[BaseSerializer] | OpenApiTypes | OpenApiResponse | BaseSerializer | None


def operation(
    name: str,
    answers: Mapping[int, Answer] | Mapping[tuple[int, str], Answer],
    *,
    tag: str = "",
    words: str = "",
    body: Any = None,
    parameters: tuple[Any, ...] = (),
    refusals: tuple[int, ...] = (),
) -> Callable[..., Any]:
    """Describe a view's method by its docstring: the summary, then the description.

    `complete` adds the errors that every operation has.

    Parameters
    ----------
    name : str
        Operation id.
    answers : mapping
        Serializer or type of each successful response, by status or status and media type.
    tag : str
        Needed if it is not the first part of the URL.
    words : str
        End of the description, for text that contains a value.
    body
        Serializer of the request.
    refusals : tuple of int
        Statuses of further errors.
    """

    def described(method: Callable[..., Any]) -> Callable[..., Any]:
        summary, _, description = inspect.cleandoc(method.__doc__ or "").partition("\n\n")
        summary = summary.rstrip(".")
        return extend_schema(
            operation_id=name,
            summary=summary,
            description=" ".join(f"{description} {words}".split()) or summary,
            tags=[tag] if tag else None,
            request=body,
            responses={**answers, **dict.fromkeys(refusals, PROBLEM)},
            parameters=list(parameters),
        )(method)

    return described


PROBLEM = OpenApiTypes.OBJECT  # stands in for the error schema until `complete` puts it there


def header(name: str, words: str, status: tuple[int, ...], kind: type = str) -> OpenApiParameter:
    """Describe a header of the responses with these statuses."""
    return OpenApiParameter(
        name, kind, OpenApiParameter.HEADER, description=words, response=list(status)
    )


LOCATION = header("Location", "Address of the analysis.", (200, 202))
RETRY_AFTER = header("Retry-After", "Seconds until asking again makes sense.", (200,), int)


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "classifier.services.tokens.TokenAuthentication"
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
    """Add what applies to every operation and field: errors, headers and examples."""
    result["info"]["description"] = DESCRIPTION
    result["tags"] = [{"name": name, "description": words} for name, words in TAGS.items()]
    schemas = result["components"]["schemas"]
    for path, methods in result["paths"].items():
        for method, described in methods.items():
            _refusals(path, method, described)
            for parameter in described.get("parameters", ()):
                parameter.setdefault("description", "Its id, as lists and answers give it.")
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
            if field in EXAMPLES:
                described["examples"] = [EXAMPLES[field]]
            if name.endswith("Request"):
                if field == "checkpoint":
                    _choice_of_checkpoints(described)
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
        if code == "204" or not answer.get("description"):  # it would say "No response body"
            answer["description"] = ANSWERS[code]
    described["responses"] = dict(sorted(answers.items()))


def _choice_of_checkpoints(described: dict[str, Any]) -> None:
    """List the checkpoints that can be requested now, by name and by identity."""
    offered = inventory.offered()
    if offered:
        names = [text for one in offered for text in (one.name, one.identity)]
        described["enum"] = ["", *names]
        described["examples"] = names[:1]


def _no_nul(schema: dict[str, Any]) -> None:
    """Exclude NUL characters from texts in requests."""
    if schema.get("type") == "string" and not {"format", "pattern", "enum"} & set(schema):
        schema["pattern"] = r"^[^\u0000]*$"


def schema() -> dict[str, Any]:
    return _schema(tuple(one.identity for one in inventory.offered()))


@lru_cache(maxsize=1)
def _schema(offered: tuple[str, ...]) -> dict[str, Any]:
    """Build the schema. It contains the offered checkpoints, so it is rebuilt when they change."""
    return SchemaGenerator().get_schema(request=None, public=True)


class SchemaView(APIView):
    """The schema as JSON; as YAML for `Accept: application/vnd.oai.openapi` and at its own URL."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes: tuple[type[BaseRenderer], ...] = (
        OpenApiJsonRenderer2,
        OpenApiJsonRenderer,
        OpenApiYamlRenderer,
    )

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(schema())
