"""The API's description, arranged for people: what the page of the API shows of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from classifier.api.samples import (
    Described,
    Sample,
    command,
    content_of,
    name_of,
    resolved,
    samples_of,
)

# From here on a limit is the database's, and tells people nothing.
LARGEST_LIMIT_TOLD = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value is, in words around the name of the one shape it may be made of, or ""."""

    before: str
    shape: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """place: query, path or header; "body" and "answer" for what stands in one."""

    name: str
    place: str
    kind: Kind
    words: str
    limits: str
    required: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """shape: the name of it, or "" for an answer without one."""

    code: str
    words: str
    media: str
    shape: str
    headers: list[Field]


@dataclass(frozen=True, slots=True)
class Operation:
    """fields: what can be sent. command: for a shell."""

    name: str
    method: str
    path: str
    summary: str
    words: str
    open_to_all: bool
    fields: list[Field]
    body_media: list[str]
    answers: list[Answer]
    refusals: list[str]
    command: str
    samples: list[Sample]


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    words: str
    operations: list[Operation]


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    words: str
    fields: list[Field]


@dataclass(frozen=True, slots=True)
class Reference:
    """groups: in the order in which one needs them. refusals: status → what it means."""

    words: str
    groups: list[Group]
    refusals: dict[str, str]
    shapes: list[Shape]


def arrange(schema: Described, base_url: str) -> Reference:
    """server: the address that the examples are sent to."""
    shapes: Described = schema["components"]["schemas"]
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in schema["tags"]}
    refusals: dict[str, str] = {}
    for path, methods in schema["paths"].items():
        for method, described in methods.items():
            made = _operation(base_url, path, method, described, shapes)
            found[described["tags"][0]].append(made)
            refusals |= {
                code: described["responses"][code]["description"] for code in made.refusals
            }
    return Reference(
        schema["info"]["description"],
        [Group(tag["name"], tag["description"], found[tag["name"]]) for tag in schema["tags"]],
        dict(sorted(refusals.items())),
        [
            Shape(name, shape.get("description", ""), list(_fields(shape, "answer", shapes)))
            for name, shape in shapes.items()
            if "properties" in shape and not name.endswith("Request")
        ],
    )


def _operation(
    base_url: str, path: str, method: str, described: Described, shapes: Described
) -> Operation:
    bodies = described.get("requestBody", {}).get("content", {})
    body = resolved(next(iter(bodies.values()))["schema"], shapes) if bodies else {}
    parameters = [_field(p["name"], p["in"], p, shapes) for p in described.get("parameters", ())]
    # Place by place; what must be there stands first.
    parameters.sort(key=lambda field: (field.place != "path", field.place))
    answers = described["responses"]
    return Operation(
        name=described["operationId"],
        method=method.upper(),
        path=path,
        summary=described["summary"],
        words="" if described["description"] == described["summary"] else described["description"],
        open_to_all={} in described.get("security", []),
        fields=[*parameters, *_fields(body, "body", shapes)],
        body_media=list(bodies),
        answers=[_answer(c, answers[c], shapes) for c in answers if c < "400"],
        refusals=[code for code in answers if code >= "400"],
        command=command(base_url, path, method, described, body),
        samples=samples_of(answers, shapes),
    )


def _answer(code: str, described: Described, shapes: Described) -> Answer:
    media, content = content_of(described)
    headers = [
        _field(name, "header", facts, shapes)
        for name, facts in described.get("headers", {}).items()
    ]
    return Answer(code, described["description"], media, name_of(content), headers)


# --- fields -------------------------------------------------------------------------------


def _fields(shape: Described, place: str, shapes: Described) -> Iterator[Field]:
    for name, described in shape.get("properties", {}).items():
        needed = name in shape.get("required", ())
        yield _field(name, place, {"schema": described, "required": needed, **described}, shapes)


def _field(name: str, place: str, described: Described, shapes: Described) -> Field:
    """described: with `schema`, `description` and perhaps `required` in it."""
    inner = described["schema"]
    return Field(
        name,
        place,
        _kind(inner, shapes),
        described["description"],
        ", ".join(_limits(inner)),
        described.get("required", False),
    )


def _kind(schema: Described, shapes: Described) -> Kind:
    if "$ref" in schema:
        target = shapes[name_of(schema)]
        return Kind("", name_of(schema)) if "properties" in target else _kind(target, shapes)
    if "allOf" in schema:
        return _kind(schema["allOf"][0], shapes)
    if "oneOf" in schema:
        first, *others = [_kind(one, shapes) for one in schema["oneOf"]]
        rest = [other.before for other in others if other.before != first.before]
        return Kind(first.before, first.shape, "".join(f" or {one}" for one in rest))
    if "enum" in schema:
        return Kind("one of " + ", ".join(one for one in schema["enum"] if one))
    return _kind_of_type(schema, shapes)


def _kind_of_type(schema: Described, shapes: Described) -> Kind:
    types = schema.get("type", "anything")
    types = [types] if isinstance(types, str) else types
    if "array" in types:
        inner = _kind(schema["items"], shapes)
        word, space, rest = inner.before.partition(" ")
        return Kind("array of " + (f"{word}s{space}{rest}" if word else ""), inner.shape)
    if "object" in types and schema.get("additionalProperties"):
        inner = _kind(schema["additionalProperties"], shapes)
        return Kind("object of ", inner.shape, " by name") if inner.shape else Kind("object")
    unit = {"date-time": " (date and time)", "uuid": " (UUID)", "binary": ": a file's bytes"}
    return Kind(
        types[0] + unit.get(schema.get("format", ""), "") + "".join(f" or {t}" for t in types[1:])
    )


def _limits(schema: Described) -> Iterator[str]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None and most < LARGEST_LIMIT_TOLD:
        yield f"{least} to {most}"
    if "maxLength" in schema and "enum" not in schema:
        yield f"at most {schema['maxLength']} characters"
    if schema.get("default") not in (None, ""):
        yield f"{json.dumps(schema['default'])} unless given"
