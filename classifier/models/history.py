"""The filters and orders of the history: one definition for its page, the API and exports.

To add a filter: an entry in `CONDITIONS`, a field in `views.forms.HistoryForm` and one in
`api.filters.AnalysisFilters`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q

from classifier.models.clips import folded
from classifier.models.judgements import judged
from classifier.models.tags import tag_words, words

# The condition of each filter, by its value. They use columns of the analysis only, so that an
# index answers them; `judged` uses a table of few rows. Of `batch` and `folder` see
# `AnalysisQuerySet.matching`.
CONDITIONS: dict[str, Callable[[Any], Q]] = {
    "name": lambda text: Q(clip_folded_name__contains=folded(text)),
    "min_confidence": lambda share: Q(confidence__gte=share),
    "max_confidence": lambda share: Q(confidence__lte=share),
    "min_length": lambda seconds: Q(clip_duration_s__gte=seconds),
    "max_length": lambda seconds: Q(clip_duration_s__lte=seconds),
    "created_after": lambda time: Q(created_at__gte=time),
    "created_before": lambda time: Q(created_at__lt=time),
    # "is not null" as in the conditions of the indexes: SQLite does not conclude it.
    "notice": lambda code: Q(clip_notices__isnull=False, clip_notices__contains=words([code])),
    "tag": lambda tag: Q(clip_tags__isnull=False, clip_tags__contains=tag_words([tag.pk])),
    "judged": judged,
}
# Filters whose value is that of a column.
COLUMNS = {"label": "label", "state": "state", "checkpoint": "checkpoint", "clip": "clip_id"}


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of the history.

    Attributes
    ----------
    columns : tuple of str
        Together unique.
    condition : Q
        Of the rows that have a place in the order.
    """

    title: str
    columns: tuple[str, ...]
    condition: Q = field(default_factory=Q)


SORTS = {
    "newest": Sort("newest first", ("-created_at", "-id")),
    "oldest": Sort("oldest first", ("created_at", "id")),
    "name": Sort("name", ("clip_folded_name", "id")),
    "confidence": Sort("most confident first", ("-confidence", "-id"), Q(confidence__isnull=False)),
    "least_confident": Sort(
        "least confident first", ("confidence", "id"), Q(confidence__isnull=False)
    ),
    "length": Sort("longest first", ("-clip_duration_s", "-id"), Q(clip_duration_s__isnull=False)),
}
DEFAULT_SORT = "newest"


def order_of_only(filters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the order whose index holds the values of the only filter; () if there is none."""
    given = set(asked(filters))
    for name in ("confidence", "length", "name"):
        if given and given <= {name, f"min_{name}", f"max_{name}"}:
            return SORTS[name].columns
    return ()


def asked(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters that have a value."""
    return {name: value for name, value in filters.items() if value not in (None, "")}


def behind(row: Any, order: tuple[str, ...]) -> Q:
    """Return the condition of the rows behind this one.

    Parameters
    ----------
    row : Model
        A row that has all columns of the order.
    order : tuple of str
        Columns, together unique; `-` in front for descending ones.
    """
    equal: dict[str, Any] = {}
    found = Q()
    for column in order:
        name = column.removeprefix("-")
        beyond = "lt" if column.startswith("-") else "gt"
        found |= Q(**equal, **{f"{name}__{beyond}": getattr(row, name)})
        equal[name] = getattr(row, name)
    first = order[0].removeprefix("-")
    edge = "lte" if order[0].startswith("-") else "gte"
    # An index finds the first row by the edge; SQLite would scan up to it for the OR alone.
    return Q(**{f"{first}__{edge}": equal[first]}) & found
