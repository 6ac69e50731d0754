"""For schemathesis as somebody else: every id in a path is the first person's, and nothing shows.

Named by SCHEMATHESIS_HOOKS; THEIRS is {"mark": text, "ids": {part of a path: id}} as JSON.
"""

import json
import os
from typing import Any

import schemathesis

THEIRS = json.loads(os.environ["THEIRS"])


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> Any:
    if not path_parameters:
        return path_parameters
    kind = context.operation.path.split("/")[3]
    return {name: THEIRS["ids"].get(kind, value) for name, value in path_parameters.items()}


@schemathesis.check
def nothing_of_theirs(context: Any, response: Any, case: Any) -> None:
    payload = response.content.decode(errors="replace")
    assert THEIRS["mark"] not in payload, "the first person's own words"
    # A refusal may repeat what was asked for; an answer may not know it.
    if response.status_code < 300 and case.operation.path.split("/")[3] in THEIRS["ids"]:
        assert not any(pk in payload for pk in THEIRS["ids"].values()), "the first person's own"
        assert not case.path_parameters, "what is theirs was answered"
