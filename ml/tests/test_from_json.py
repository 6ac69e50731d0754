import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from ml.from_json import from_json


@dataclass(frozen=True)
class Leaf:
    name: str
    span: tuple[float, float]


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    by_name: dict[str, tuple[Leaf, ...]]
    best: Leaf | None
    planted_at: datetime | None
    more: dict[str, Any]
    height: int = 3


LEAF = Leaf("oak", (0.5, 1.5))
TREE = Tree((LEAF,), {"oak": (LEAF, LEAF)}, LEAF, None, {"a": [1, {"b": None}]})


def test_written_values_are_read_back() -> None:
    assert from_json(Tree, json.loads(json.dumps(asdict(TREE)))) == TREE


def test_fields_with_defaults_may_be_missing() -> None:
    payload = {**asdict(TREE), "best": None, "planted_at": "2026-11-22T15:00:00+00:00"}
    del payload["height"]
    tree = from_json(Tree, payload)
    assert (tree.best, tree.height) == (None, 3)
    assert tree.planted_at == datetime(2026, 11, 22, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {"leaves": "none"},
        {"leaves": 3},
        {"best": {"name": "oak"}},
        {"best": {"name": "oak", "span": [1.0]}},
        {"best": []},
        {"planted_at": "yesterday"},
        {"unknown": 1},
    ],
)
def test_another_shape_is_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        from_json(Tree, asdict(TREE) | changes)
