"""Which fold a clip belongs to. Pieces of one recording share a fold, or testing is cheating."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

FOLDS = 5


class Piece(NamedTuple):
    """A clip as far as folds are concerned."""

    source: str
    label: str


def by_source(pieces: Sequence[Piece], folds: int = FOLDS) -> list[int]:
    """A fold, 1 to `folds`, for each piece: all of one source in one, classes spread evenly.

    Large sources first, each where its classes are rarest so far; ties go by the emptier fold,
    then by its number. The order is that of the sources' hashes, so it depends on nothing else.
    """
    sources: defaultdict[str, list[str]] = defaultdict(list)
    for piece in pieces:
        sources[piece.source].append(piece.label)

    def order(source: str) -> tuple[int, str]:
        return -len(sources[source]), hashlib.sha256(source.encode()).hexdigest()

    held: list[Counter[str]] = [Counter() for _ in range(folds)]
    placed: dict[str, int] = {}
    for source in sorted(sources, key=order):
        labels = sources[source]
        crowding = [
            (sum(fold[label] for label in labels), fold.total(), number)
            for number, fold in enumerate(held)
        ]
        chosen = min(crowding)[2]
        held[chosen].update(labels)
        placed[source] = chosen + 1
    return [placed[piece.source] for piece in pieces]


def shared_sources(sources: Sequence[str], folds: Sequence[int]) -> dict[str, list[int]]:
    """The sources whose pieces lie in more than one fold, with those folds."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for source, fold in zip(sources, folds, strict=True):
        found[source].add(fold)
    return {source: sorted(where) for source, where in found.items() if len(where) > 1}
