"""Examples of what is sent and answered, made of the example that each field of the schema has."""

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

Described = dict[str, Any]
LONG_LINES = 14


@dataclass(frozen=True, slots=True)
class Sample:
    """codes: the answers that look like this one. long: not to be unfolded unasked."""

    codes: str
    text: str
    long: bool


def content_of(described: Described) -> tuple[str, Described]:
    """Of an answer: its media type and what it is made of."""
    for media, content in described.get("content", {}).items():
        return media, content["schema"]
    return "", {}


def name_of(schema: Described) -> str:
    return schema.get("$ref", "").rpartition("/")[2]


def resolved(schema: Described, shapes: Described) -> Described:
    return shapes[name_of(schema)] if "$ref" in schema else schema


# --- answers


def samples_of(answers: Described, shapes: Described) -> list[Sample]:
    codes: dict[str, list[str]] = {}
    for code, described in answers.items():
        _, content = content_of(described)
        if code < "400" and "$ref" in content:
            codes.setdefault(_as_json(_example(content, shapes)), []).append(code)
    return [
        Sample(" or ".join(alike), text, text.count("\n") > LONG_LINES)
        for text, alike in codes.items()
    ]


def _as_json(value: Any) -> str:
    """Indented, but arrays of plain values on one line."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return re.sub(r"\[[^\[\]{}]+\]", lambda found: " ".join(found[0].split()), text)


def _example(schema: Described, shapes: Described) -> Any:
    """A value, made of what each field gives as its example."""
    if "$ref" in schema:
        target = shapes[name_of(schema)]
        return {name: _example(field, shapes) for name, field in target["properties"].items()}
    if schema.get("type") == "array" and "$ref" in schema["items"]:
        return [_example(schema["items"], shapes)]
    # These are answers to what went well.
    if any(name_of(one) == "Problem" for one in schema.get("oneOf", ())):
        return None
    return schema["examples"][0]


# --- requests


def command(base_url: str, path: str, method: str, described: Described, body: Described) -> str:
    """A command that a shell runs as it stands; the token is in $TOKEN."""
    for parameter in described.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
    parts = [f"curl {base_url}{path}"]
    if {} not in described.get("security", []):
        parts.append('-H "Authorization: Token $TOKEN"')
    sent = _sent(body)
    files = [name for name in sent if body["properties"][name].get("format") == "binary"]
    if files:
        parts += [f"-F {_form(name, value, name in files)}" for name, value in sent.items()]
    elif sent:
        parts.append("-H 'Content-Type: application/json'")
        parts.append(f"-d {shlex.quote(json.dumps(sent))}")
    elif method != "get":
        parts[0] = f"curl -X {method.upper()} {base_url}{path}"
    return " \\\n  ".join(parts)


def _form(name: str, value: Any, is_file: bool) -> str:
    return f"{name}=@dawn.wav" if is_file else shlex.quote(f"{name}={value}")


def _sent(body: Described) -> dict[str, Any]:
    """What an example sends: not what is empty, and no choice that needs not be made."""
    return {
        name: field["examples"][0]
        for name, field in body.get("properties", {}).items()
        if field["examples"][0] and not ("enum" in field and name not in body.get("required", ()))
    }
