"""Summaries of a batch: its labels, its folders, how fast it runs, and what may be retried."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Count, Min, QuerySet
from django.utils import timezone

from classifier.models import Analysis, Batch, FileOutcome, State, beside
from classifier.services.batches import Totals
from classifier.services.problems import RETRYABLE

# The rate is that of the first of these periods in which at least MIN_FINISHED files finished.
RATE_PERIODS = (timedelta(minutes=1), timedelta(minutes=15))
MIN_FINISHED = 5
FOLDER_LABELS = 3


# --- labels -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LabelCount:
    label: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a batch's files, the most frequent first, without files that are not sure."""

    counts: list[LabelCount]
    not_sure: int


def labels(batch: Batch) -> Labels:
    """Return how many files got each label, and how many are probably none of the classes."""
    # Grouped by `not_sure` instead of filtered: with the filter, PostgreSQL chooses a plan that
    # takes minutes if it has no statistics yet, as after a large import.
    analysed = batch.files.in_state(State.DONE).values_list("analysis__label", "analysis__not_sure")
    rows = list(analysed.annotate(count=Count("pk")).order_by("-count", "analysis__label"))
    sure = [(label, count) for label, not_sure, count in rows if not not_sure]
    whole = sum(count for _, count in sure)
    return Labels(
        [LabelCount(label, count, count / whole) for label, count in sure],
        sum(count for _, not_sure, count in rows if not_sure),
    )


# --- folders ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a batch with everything inside it.

    Attributes
    ----------
    path : str
        Its path in the batch.
    labels : Counter of str
        Number of its files by label, like `Labels`.
    inside : set of str
        Names of the folders directly inside it.
    """

    path: str
    totals: Totals = field(default_factory=Totals)
    labels: Counter[str] = field(default_factory=Counter)
    inside: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def top_labels(self) -> list[tuple[str, int]]:
        """The most frequent labels with their counts, at most FOLDER_LABELS."""
        ordered = sorted(self.labels.items(), key=lambda item: (-item[1], item[0]))
        return ordered[:FOLDER_LABELS]


def folders(batch: Batch, parent: str = "") -> list[Folder]:
    """Return the folders directly inside `parent`, sorted by path; "" means those of the batch."""
    rows = batch.files.in_folder(parent).exclude(folder=parent)
    state = ("outcome", "analysis__state", "analysis__label", "analysis__not_sure")
    counted = rows.values_list("folder", *state).annotate(count=Count("pk")).order_by()
    start = len(parent) + 1 if parent else 0
    found: dict[str, Folder] = {}
    for path, outcome, analysed, label, not_sure, count in counted:
        first, _, rest = path[start:].partition("/")
        folder = found.setdefault(first, Folder(path[:start] + first))
        what = analysed if outcome == FileOutcome.ACCEPTED else outcome
        folder.totals.add(what, count)
        if what == State.DONE and not not_sure:
            folder.labels[label] += count
        if rest:
            folder.inside.add(rest.partition("/")[0])
    return sorted(found.values(), key=lambda folder: folder.path)


# --- progress -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a batch runs, in files per second, and the seconds left at this rate."""

    rate_per_s: float
    left_s: float


def pace(batch: Batch, totals: Totals) -> Pace | None:
    """Return how fast the batch ran in the last minutes; None while that is unknown."""
    if not totals.unfinished:
        return None
    for period in RATE_PERIODS:
        now = timezone.now()
        recent = _own(batch).filter(
            finished_at__gt=now - period, state__in=(State.DONE, State.FAILED)
        )
        found = recent.aggregate(count=Count("pk"), first=Min("started_at"))
        if found["count"] >= MIN_FINISHED:
            began = max(found["first"] or now - period, now - period)
            rate = found["count"] / max((now - began).total_seconds(), 1.0)
            return Pace(rate, totals.unfinished / rate)
    return None


def retryable(batch: Batch, totals: Totals) -> int:
    """Return the number of failed files that `batches.retry_failed` would analyse again."""
    if not totals.failed or batch.cancelled_at:
        return 0
    return _own(batch).filter(state=State.FAILED, error_code__in=RETRYABLE).count()


def _own(batch: Batch) -> QuerySet[Analysis]:
    """Return the analyses of the batch's files, without those that its duplicates are linked to."""
    # Few of the owner's analyses failed or finished lately, so SQLite should begin with those. The
    # owner follows from the batch, but the indexes begin with it.
    return Analysis.objects.filter(
        beside(batch_files__batch=batch.pk, batch_files__outcome=FileOutcome.ACCEPTED),
        owner=batch.owner_id,
    )
