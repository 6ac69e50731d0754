"""A user's analyses in lists: filters, order, the columns that are read."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection, models
from django.db.models import Count, Exists, F, Func, Max, Min, OuterRef, Q

from classifier.checkpoints import inventory
from classifier.models import history
from classifier.models.clips import Clip, Owner, beside, folder_prefix
from classifier.models.distinct import distinct_values
from classifier.models.judgements import Judged
from classifier.models.leasing import UNFINISHED, LeasedJobQuerySet, State

if TYPE_CHECKING:
    from classifier.models.analyses import Analysis
    from classifier.models.batches import Batch

# What a list joins to show the judgement of each clip.
JUDGEMENT = ("clip__judgement__user",)
# Folders of a user that are looked up for a filter, and those that are named in its query.
MAX_FOLDERS, MAX_FOLDERS_NAMED = 1000, 100


class AnalysisLists(LeasedJobQuerySet["Analysis"]):
    def for_owner(self, user: Owner, batch: "Batch | None" = None, *, few: bool = False) -> Self:
        """Return a user's analyses with their clips, newest first.

        With `batch`, return only the analyses of that batch, each once.

        Parameters
        ----------
        few : bool
            Whether the caller adds a condition that leaves only few rows and has an index.
        """
        mine = self.filter(beside(owner=user.pk) if few else Q(owner=user.pk))
        if batch:
            mine = self.filter(beside(owner=user.pk), _analysed_for(batch.files.all()))
        return mine.select_related("clip").order_by("-created_at", "-id")

    def matching(self, user: Owner, filters: Mapping[str, Any]) -> Self:
        """Return a user's analyses that match all filters, in the order of the filter `sort`.

        Parameters
        ----------
        filters : mapping
            Values by the names in `models.history`, and a Batch as `batch`; None or "" for any. A
            `folder` is that of the batch, if there is one; otherwise the one that the clip was
            first uploaded in.
        """
        values = history.asked(filters)
        sort = history.SORTS[values.pop("sort", history.DEFAULT_SORT)]
        batch: Batch | None = values.pop("batch", None)
        # Few clips are judged, so those are read first.
        few = values.get("judged", Judged.NOT_JUDGED) != Judged.NOT_JUDGED
        rows = self.for_owner(user, batch, few=few)
        if inside := folder_prefix(values.pop("folder", "")):
            if batch:
                rows = rows.filter(_analysed_for(batch.files.filter(path__istartswith=inside)))
            else:
                rows = rows.filter(self._in_folder(user, inside))
        for name, value in values.items():
            if column := history.COLUMNS.get(name):
                rows = rows.filter((beside if batch or few else Q)(**{column: value}))
            else:
                rows = rows.filter(history.CONDITIONS[name](value))
        return rows.filter(sort.condition).order_by(*sort.columns)

    def latest_of_clips(self) -> Self:
        """Return the analyses whose clip has no newer one."""
        newer = self.model.objects.filter(
            clip=OuterRef("clip"), created_at__gt=OuterRef("created_at")
        )
        return self.filter(~Exists(newer))

    def _in_folder(self, user: Owner, prefix: str) -> Q:
        """Return the condition of a folder, after looking up which folders the user has in it."""
        folders = self.values_of(user, "clip_folder", MAX_FOLDERS + 1)
        inside = [one for one in folders if one.lower().startswith(prefix.lower())]
        if len(folders) <= MAX_FOLDERS and len(inside) <= MAX_FOLDERS_NAMED:
            # "is not null" as in the condition of the index: SQLite does not conclude it.
            return Q(clip_folder__isnull=False, clip_folder__in=inside)
        return Q(clip_folder__istartswith=prefix)

    def first_keys(self, user: Owner, filters: Mapping[str, Any], most: int) -> list[Any]:
        """Return the keys of the first rows that match all filters, at most `most`; see `matching`.

        If the only filter has an index by its column, that tells quickly that few rows match.
        """
        rows = self.matching(user, filters)
        if order := history.order_of_only(filters):
            # Only the keys, so that the index alone answers this.
            found = list(rows.order_by(*order).values_list("pk", flat=True)[:most])
            if len(found) < most:
                times = self.filter(pk__in=found).values_list("created_at", "pk")
                return [pk for _, pk in sorted(times, reverse=True)]
        return list(rows.values_list("pk", flat=True)[:most])

    def for_history(self, user: Owner, **filters: Any) -> Self:
        """Return the rows of the history page, without the large columns; see `matching`."""
        return self.matching(user, filters).light()

    def light(self) -> Self:
        """Return the rows with clips, tags and judgements, without the large columns."""
        rows = self.select_related("clip", *JUDGEMENT).prefetch_related("clip__tags")
        return rows.defer("predictions", "render_metadata", "embedding")

    def for_list(self, user: Owner, batch: "Batch | None" = None, **filters: Any) -> Self:
        """Return the rows of a list of the API, without the large columns; see `matching`."""
        rows = self.for_history(user, batch=batch, **filters)
        return rows.defer("predictions", "render_metadata", "embedding", "timings")

    def checkpoints_of(self, user: Owner) -> models.QuerySet[Any, Any]:
        """Return the checkpoints of a user's analyses, the last used first.

        Each row has checkpoint, analyses (their number), first_used_at and last_used_at.
        """
        return (
            self.filter(owner=user.pk)
            .exclude(checkpoint="")
            .values("checkpoint")
            .annotate(analyses=Count("id"))
            .annotate(first_used_at=Min("created_at"), last_used_at=Max("created_at"))
            .order_by("-last_used_at", "checkpoint")
        )

    def answering(self, checkpoint: str) -> Self:
        """Return the analyses that answer a request for this checkpoint.

        An analysis that names no checkpoint belongs to the default. For a request that names none,
        an analysis by a checkpoint that is no longer installed counts as the default's; one by
        another installed checkpoint does not.

        Parameters
        ----------
        checkpoint : str
            Identity; "" if the request names none.
        """
        others = [one.identity for one in inventory.installed() if not one.default]
        if not checkpoint:
            return self.exclude(checkpoint__in=others)
        if checkpoint in others:
            return self.filter(checkpoint=checkpoint)
        return self.filter(checkpoint__in=("", checkpoint))

    def known(self, user: Owner, sha256: str, checkpoint: str) -> "Analysis | None":
        """Return a finished or unfinished analysis of the same bytes of this user, if there is one.

        A finished analysis is preferred to an unfinished one, then the newest. The row is locked
        until the transaction ends, so that it cannot be deleted before the request is answered.

        Parameters
        ----------
        sha256 : str
            Hex digest of the bytes.
        checkpoint : str
            Identity; "" if the request names none.
        """
        # Most bytes are new, and this is answered from an index.
        if not Clip.objects.filter(owner=user.pk, sha256=sha256).exists():
            return None
        rows = self.for_owner(user).filter(clip__sha256=sha256, clip__owner=user.pk)
        rows = rows.answering(checkpoint).filter(state__in=(State.DONE, *UNFINISHED))
        # "done" sorts before the others.
        return rows.select_for_update(of=("self",)).order_by("state", "-created_at").first()

    def values_of(self, user: Owner, column: str, most: int = 1000) -> list[str]:
        """Return the values of a text column in this user's analyses, see `distinct_values`."""
        return distinct_values(self.model, user.pk, column, most)


class _EqualsAny(Func):
    """The operator of PostgreSQL that compares a value with the elements of an array."""

    arg_joiner = " = ANY("
    template = "%(expressions)s)"
    output_field = models.BooleanField()


def _analysed_for(files: models.QuerySet[Any]) -> Q:
    """Return the condition of the analyses that files of a batch have, each once."""
    keys = files.values("analysis")
    if connection.vendor == "postgresql":
        # As an array, which is read first. For a subquery, PostgreSQL expects these rows everywhere
        # in the history, and reads all of it in the order of the list.
        return Q(_EqualsAny(F("pk"), ArraySubquery(keys)))
    return Q(pk__in=keys)
