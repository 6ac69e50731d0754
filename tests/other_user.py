"""Schemathesis hooks for a user who requests the objects of another user.

The module is named in SCHEMATHESIS_HOOKS. Every id in a path is one of the other user's.
OTHER_USER is JSON: {"mark": text in the other user's data, "ids": {part of a path: id}}.
"""

import json
import os
from typing import Any

import schemathesis

OTHER_USER = json.loads(os.environ["OTHER_USER"])


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> Any:
    if not path_parameters:
        return path_parameters
    kind = context.operation.path.split("/")[3]
    return {name: OTHER_USER["ids"].get(kind, value) for name, value in path_parameters.items()}


@schemathesis.check
def no_data_of_other_user(context: Any, response: Any, case: Any) -> None:
    payload = response.content.decode(errors="replace")
    assert OTHER_USER["mark"] not in payload, "the response contains the other user's text"
    # An error may repeat the requested id; a successful response must not contain it.
    if response.status_code < 300 and case.operation.path.split("/")[3] in OTHER_USER["ids"]:
        leaked = [pk for pk in OTHER_USER["ids"].values() if pk in payload]
        assert not leaked, "the response contains an id of the other user"
        assert not case.path_parameters, "the other user's object was returned"
