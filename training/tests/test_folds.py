import random
from collections import Counter

from training.data.folds import Piece, by_source, shared_sources


def test_all_pieces_of_a_source_share_a_fold_and_classes_are_spread() -> None:
    chance = random.Random(1)
    pieces = [
        Piece(f"{label}{take}", label)
        for label in "abcdefgh"
        for take in range(20)
        for _ in range(chance.randint(1, 4))
    ]
    folds = by_source(pieces)
    assert not shared_sources([piece.source for piece in pieces], folds)
    for label in "abcdefgh":
        counts = Counter(f for f, piece in zip(folds, pieces, strict=True) if piece.label == label)
        assert len(counts) == 5
        assert max(counts.values()) - min(counts.values()) <= 1
    totals = Counter(folds)
    assert max(totals.values()) - min(totals.values()) <= 4


def test_the_order_of_the_clips_does_not_matter() -> None:
    pieces = [Piece(str(n % 17), "ab"[n % 17 % 2]) for n in range(60)]
    folds = dict(zip(pieces, by_source(pieces), strict=True))
    shuffled = random.Random(2).sample(pieces, len(pieces))
    assert dict(zip(shuffled, by_source(shuffled), strict=True)) == folds


def test_a_recording_of_two_classes_stays_whole() -> None:
    pieces = [Piece("street", "horn"), Piece("street", "dog"), Piece("yard", "dog")]
    first, second, third = by_source(pieces)
    assert first == second != third


def test_a_source_in_two_folds_is_found() -> None:
    assert shared_sources(["x", "y", "x"], [2, 1, 1]) == {"x": [1, 2]}
