"""Convert JSON to dataclasses, the reverse of `dataclasses.asdict` and `json.dumps`."""

from dataclasses import is_dataclass
from datetime import datetime
from functools import lru_cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

_hints = lru_cache(get_type_hints)


def from_json(kind: Any, value: Any) -> Any:
    """Convert a value from `json.loads` to an instance of a type.

    Parameters
    ----------
    kind : type
        A dataclass, datetime, or a tuple, a dictionary or an optional of a type. Values of other
        types are returned unchanged.

    Raises
    ------
    ValueError, TypeError, LookupError, AttributeError
        If the value does not have the shape of the type.
    """
    if kind in (int, float, str, bool):
        return value
    if is_dataclass(kind):
        hints = _hints(kind)  # type: ignore[arg-type]
        fields = {name: from_json(hints[name], one) for name, one in value.items()}
        return kind(**fields)  # type: ignore[operator]
    if kind is datetime:
        return datetime.fromisoformat(value)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return None if value is None else from_json(inner[0], value)
    if origin is dict:
        return {name: from_json(inner[1], one) for name, one in value.items()}
    if origin is tuple:
        kinds = inner[:1] * len(value) if inner[-1] is ... else inner
        return tuple(from_json(one, part) for one, part in zip(kinds, value, strict=True))
    return value
