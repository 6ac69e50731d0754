"""Assign clips to folds.

All clips cut from one recording share a fold; otherwise the test fold would contain sounds that
were used for training.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

FOLDS = 5


class Piece(NamedTuple):
    """The source and label of a clip, which decide its fold."""

    source: str
    label: str


def by_source(pieces: Sequence[Piece], folds: int = FOLDS) -> list[int]:
    """Return a fold, 1 to `folds`, for each piece.

    All pieces of one source share a fold, and classes are spread evenly. Large sources are placed
    first, each in the fold with the fewest clips of its classes; ties go to the fold with fewer
    clips, then to the lower number. Sources of equal size are ordered by their hashes, so the
    result does not depend on the order of the pieces.
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
    """Return the sources with pieces in more than one fold, with those folds."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for source, fold in zip(sources, folds, strict=True):
        found[source].add(fold)
    return {source: sorted(where) for source, where in found.items() if len(where) > 1}
