"""What the pages call a checkpoint, and how accurate they say it is.

Both come from the header and the evaluation, not from the name of the file.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from classifier.checkpoints import evaluation, inventory
from classifier.checkpoints.inventory import Installed

# The folds of a data set that can be trained on here. The fifth of ESC-50 is not available.
ALL_FOLDS = {"ESC-50": {1, 2, 3, 4}}
_FOLD = re.compile(r"fold (\d+)")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The accuracy on a fold that was not used in training.

    Attributes
    ----------
    accuracy : float
        Share of correct predictions, 0 to 1.
    """

    fold: int
    accuracy: float

    def __str__(self) -> str:
        return f"{100 * self.accuracy:.0f} of 100 unheard clips right"


def title_of(identity: str) -> str:
    """Return the name of a checkpoint: ESC-50, folds 1–3.

    If several installed checkpoints have the same data and folds, the name of the file follows.
    Of a checkpoint that is not installed, only the identity is known, which is returned.
    """
    titles = {one.identity: _title(one) for one in inventory.installed()}
    if identity not in titles:
        return identity
    title = titles[identity]
    is_unique = Counter(titles.values())[title] == 1
    return title if is_unique else f"{title} ({identity.partition('@')[0]})"


def held_out_sentence(found: Installed) -> str:
    """Say how many clips that it was not trained on a checkpoint names right, or why it is unknown.

    A person reads this, for whom a checkpoint is a model.
    """
    trained = folds_text(found.info.folds_seen)
    if own := held_out(found):
        return f"Names {own} (fold {own.fold}{trained and f', trained on {trained}'})."
    if _on_all_folds(found):
        return "There is no held-out figure: it was trained on all folds."
    return f"Not measured on unheard clips yet{trained and f' (trained on {trained})'}."


def expectation(found: Installed) -> str:
    """Return `held_out_sentence`, and if it has no figure, that of a similar checkpoint.

    Similar is a checkpoint trained in the same way on fewer folds.
    """
    sentence = held_out_sentence(found)
    if held_out(found):
        return sentence
    for other in inventory.installed():
        if _is_smaller_twin(other, found) and (its := held_out(other)):
            name = title_of(other.identity)
            return f"{sentence} The model {name}, with the same training, names {its}."
    return sentence


def held_out(found: Installed) -> HeldOut | None:
    """Return the accuracy in the evaluation, or else in the header; None if there is none."""
    report = evaluation.report_of(found).evaluation
    if report and not report.seen:
        return HeldOut(report.fold, report.accuracy)
    for what, accuracy in found.info.accuracy.items():
        fold = fold_of(what)
        if fold is not None and fold not in found.info.folds_seen:
            return HeldOut(fold, accuracy)
    return None


def fold_of(what: str) -> int | None:
    """Return the fold that an accuracy of a header was measured on, by its name."""
    found = _FOLD.search(what)
    return int(found[1]) if found else None


def folds_text(folds: Sequence[int]) -> str:
    """Format folds: fold 2; folds 1–3; folds 1, 2 and 4; "" if there are none."""
    if not folds:
        return ""
    first, *rest = sorted(folds)
    if not rest:
        return f"fold {first}"
    last = rest[-1]
    if rest == list(range(first + 1, last + 1)) and len(rest) > 1:
        return f"folds {first}–{last}"
    return f"folds {', '.join(map(str, [first, *rest[:-1]]))} and {last}"


def _title(found: Installed) -> str:
    folds = "all folds" if _on_all_folds(found) else folds_text(found.info.folds_seen)
    return ", ".join(part for part in (_data(found), folds) if part)


def _data(found: Installed) -> str:
    """Return the name of the training data without its author and teacher: ESC-50."""
    data = found.info.data
    if data.startswith("distilled from "):
        data = data.partition(" on ")[2]
    return re.split(r", folds | \(", data)[0]


def _on_all_folds(found: Installed) -> bool:
    every = ALL_FOLDS.get(_data(found))
    return every is not None and every <= set(found.info.folds_seen)


def _is_smaller_twin(one: Installed, other: Installed) -> bool:
    """Return whether `one` was trained as `other` was, but on fewer folds."""
    return set(one.info.folds_seen) < set(other.info.folds_seen) and _training(one) == _training(
        other
    )


def _training(found: Installed) -> tuple[Any, ...]:
    """Return what a training was given, apart from the folds."""
    info = found.info
    # The mean and the deviation are measured on the folds.
    features = replace(info.features, mean_db=0.0, deviation_db=1.0)
    # A training may start from an earlier one on the same folds.
    recipe = {name: value for name, value in info.recipe.items() if name != "init"}
    return _data(found), info.classes, recipe, features
