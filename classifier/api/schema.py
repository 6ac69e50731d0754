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
Classify environmental sounds and inspect the feature maps of the network.

1. `POST /api/v1/token/` with your username and password returns a token.
2. `POST /api/v1/clips/` with an audio file returns 202 and `Location`.
3. `GET` that URL every `Retry-After` seconds until `state` is `done` or `failed`.

To analyse a folder, create a batch with `POST /api/v1/batches/` and add its files one by one.

Send the token as `Authorization: Token …`. Files are sent as `multipart/form-data`, all other
request bodies as `application/json`. Every error response is `{"code", "detail", "hint"}`.
Requests are limited per minute; `X-RateLimit-Limit`, `X-RateLimit-Remaining` and
`X-RateLimit-Reset` (seconds) report the limit, and a 429 response has `Retry-After`.
Lists are sorted newest first; `next` and `previous` are the URLs of the adjacent pages.
"""
# In the order in which a client needs them.
TAGS = {
    "tokens": "Authentication. Every other request needs a token.",
    "clips": "Your sounds. Uploading a clip queues its analysis.",
    "analyses": "A checkpoint's predictions for a clip, with the feature maps.",
    "events": "Spans of one label in a recording: what happened when, and how sure.",
    "inspections": "Details of one window of a finished analysis, computed on request.",
    "shares": "Links that show one result without an account.",
    "batches": "Groups of sounds, such as a folder, uploaded one file at a time.",
    "checkpoints": "Installed network weights and their accuracy.",
    "compatibility": "For clients of the Audio CNN Visualizer: one request returns the result.",
}
RESPONSES = {
    "200": "OK.",
    "201": "Created.",
    "202": "Accepted; `Location` is the URL of the result.",
    "204": "Deleted.",
}
ERRORS = {
    "400": "The request is invalid; nothing was changed.",
    "401": "The token is missing, wrong, revoked or expired.",
    "404": "The object does not exist or belongs to another user.",
    "409": "The current state of the object does not allow this operation.",
    "413": "The body is too large.",
    "415": "The body has an unsupported Content-Type.",
    "429": "Too many requests; wait for `Retry-After` seconds.",
    "507": "The server is out of storage; try again later.",
    "500": "Internal server error; the error was logged.",
}
PROBLEM_EXAMPLE = {
    "code": "not_found",
    "detail": "The requested object does not exist or belongs to another user.",
    "hint": "Check the URL, and make sure that the token belongs to the owner.",
}
Content = type[BaseSerializer] | OpenApiTypes | OpenApiResponse | BaseSerializer | None


def operation(
    name: str,
    responses: Mapping[int, Content] | Mapping[tuple[int, str], Content],
    *,
    tag: str = "",
    note: str = "",
    body: Any = None,
    parameters: tuple[Any, ...] = (),
    errors: tuple[int, ...] = (),
) -> Callable[..., Any]:
    """Describe a view's method by its docstring: the summary, then the description.

    `complete` adds the errors that every operation has.

    Parameters
    ----------
    name : str
        Operation id.
    responses : mapping
        Serializer or type of each successful response, by status or status and media type.
    tag : str
        Needed if it is not the first part of the URL.
    note : str
        End of the description, for text that contains a value.
    body
        Serializer of the request.
    errors : tuple of int
        Statuses of further errors.
    """

    def described(method: Callable[..., Any]) -> Callable[..., Any]:
        summary, _, description = inspect.cleandoc(method.__doc__ or "").partition("\n\n")
        summary = summary.rstrip(".")
        return extend_schema(
            operation_id=name,
            summary=summary,
            description=" ".join(f"{description} {note}".split()) or summary,
            tags=[tag] if tag else None,
            request=body,
            responses={**responses, **dict.fromkeys(errors, PROBLEM)},
            parameters=list(parameters),
        )(method)

    return described


PROBLEM = OpenApiTypes.OBJECT  # stands in for the error schema until `complete` puts it there


def header(
    name: str, description: str, status: tuple[int, ...], kind: type = str
) -> OpenApiParameter:
    """Describe a header of the responses with these statuses."""
    return OpenApiParameter(
        name, kind, OpenApiParameter.HEADER, description=description, response=list(status)
    )


LOCATION = header("Location", "URL of the analysis.", (200, 202))
RETRY_AFTER = header("Retry-After", "Seconds to wait before the next request.", (200,), int)


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "classifier.services.tokens.TokenAuthentication"
    name = "token"
    priority = 1

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token …` with a token from `POST /api/v1/token/`.",
        }


def complete(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """Add what applies to every operation and field: errors, headers and patterns."""
    result["info"]["description"] = DESCRIPTION
    result["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    schemas = result["components"]["schemas"]
    for path, methods in result["paths"].items():
        for described in methods.values():
            _errors(path, described)
            for parameter in described.get("parameters", ()):
                parameter.setdefault("description", "The id, as given in lists and responses.")
                _no_nul(parameter["schema"])
    for name, schema in schemas.items():
        for field, described in schema.get("properties", {}).items():
            if name.endswith("Request"):
                if field == "checkpoint":
                    _choice_of_checkpoints(described)
                _no_nul(described)
    schemas["Problem"]["examples"] = [PROBLEM_EXAMPLE]
    return result


def _errors(path: str, described: dict[str, Any]) -> None:
    responses = described["responses"]
    codes = ["400", "429"]
    if any("token" in way for way in described.get("security", [])):
        codes.append("401")
    lists = any(parameter["name"] == "cursor" for parameter in described.get("parameters", ()))
    if "{" in path or lists:
        codes.append("404")
    if "requestBody" in described:
        codes += ["413", "415"]
    for code in sorted({*codes, *(code for code in responses if code >= "400")}):
        responses[code] = {
            "description": ERRORS[code],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if code == "429":
            responses[code]["headers"] = {
                "Retry-After": {
                    "schema": {"type": "integer"},
                    "description": "Seconds to wait before the next request.",
                }
            }
    for code, response in responses.items():
        if code == "204" or not response.get("description"):  # "No response body" by default
            response["description"] = RESPONSES[code]
    described["responses"] = dict(sorted(responses.items()))


def _choice_of_checkpoints(described: dict[str, Any]) -> None:
    """Limit the field to the installed checkpoints, by name and by identity."""
    offered = inventory.offered()
    if offered:
        names = [text for one in offered for text in (one.name, one.identity)]
        described["enum"] = ["", *names]


def _no_nul(schema: dict[str, Any]) -> None:
    """Exclude NUL characters from strings in requests."""
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
