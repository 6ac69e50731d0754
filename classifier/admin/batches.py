"""The admin of batches with their totals, and of their files."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import ngettext

from classifier.admin.lists import HEAVY_OF_ANALYSIS, NewestFirst, ReadOnly, link
from classifier.models import Batch, BatchFile
from classifier.services import batches, deletion
from classifier.templatetags.sound import percent, predicted

# Small pages: every file of the batches shown is counted, up to 10,000 per batch.
PAGE_BATCHES = 20


def _files(batch: Batch, count: int, condition: str = "") -> SafeString:
    """Return a count that links to the files it counts."""
    query = f"?batch={batch.pk}{condition}"
    return link(count, "classifier_batchfile_changelist", query=query)


def _total(name: str, condition: str) -> Any:
    """Return a column with the number of files of a batch in this state."""

    @admin.display(description=name)
    def column(batch: Batch) -> SafeString | str:
        count = getattr(batch.totals, name)  # type: ignore[attr-defined]
        return _files(batch, count, condition) if count else "–"

    column.__name__ = name
    return column


TOTALS = (
    *(
        _total(
            "waiting" if state == "queued" else state, f"&outcome=accepted&analysis__state={state}"
        )
        for state in ("done", "running", "queued", "failed", "cancelled")
    ),
    *(_total(outcome, f"&outcome={outcome}") for outcome in ("refused", "duplicate")),
)


class BatchStateFilter(admin.SimpleListFilter):
    title = parameter_name = "state"
    conditions: Mapping[str, Mapping[str, Any]] = {
        "open": {"closed_at": None},
        "closed": {"closed_at__isnull": False, "cancelled_at": None},
        "cancelled": {"cancelled_at__isnull": False},
    }

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> Any:
        return [(state, state) for state in self.conditions]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(**self.conditions.get(self.value() or "", {}))


@admin.register(Batch)
class BatchAdmin(NewestFirst):
    list_display = ("name", "owner", "state", "created_at", "files", *TOTALS)
    list_filter = (BatchStateFilter, "created_at")
    list_per_page = PAGE_BATCHES
    list_select_related = ("owner",)
    sortable_by = ("created_at",)
    search_fields = ("name", "owner__username")
    search_help_text = "Part of a batch name or username."
    fields = ("name", "owner", "state", "source", "checkpoint", "created_at", "closed_at",
              "cancelled_at", "files", "totals")  # fmt: skip
    readonly_fields = ("state", "files", "totals")
    actions = ("cancel", "retry_failed")
    delete_row = staticmethod(deletion.delete_batch)

    def prepare(self, rows: Sequence[Batch]) -> None:
        totals = batches.totals_of(rows)
        for batch in rows:
            batch.totals = totals[batch.pk]  # type: ignore[attr-defined]

    @admin.display
    def files(self, batch: Batch) -> SafeString:
        return _files(batch, batch.totals.total)  # type: ignore[attr-defined]

    @admin.display
    def totals(self, batch: Batch) -> str:
        counts = batch.totals.as_dict()  # type: ignore[attr-defined]
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)

    @admin.action(description="Cancel waiting files")
    def cancel(self, request: HttpRequest, rows: QuerySet[Batch]) -> None:
        cancelled = sum(batches.cancel(batch) for batch in rows)
        text = ngettext(
            "%d waiting file was cancelled.", "%d waiting files were cancelled.", cancelled
        )
        self.message_user(request, text % cancelled, messages.SUCCESS)

    @admin.action(description="Retry failed files that may succeed")
    def retry_failed(self, request: HttpRequest, rows: QuerySet[Batch]) -> None:
        retried = sum(batches.retry_failed(batch) for batch in rows.filter(cancelled_at=None))
        text = ngettext(
            "%d failed file will be retried.", "%d failed files will be retried.", retried
        )
        self.message_user(request, text % retried, messages.SUCCESS)
        if rows.exclude(cancelled_at=None).exists():
            self.message_user(request, "Cancelled batches were not changed.", messages.WARNING)

    def get_deleted_objects(
        self, objs: Sequence[Any] | QuerySet[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Mention the clips of the batch, which Django cannot find by foreign key."""
        named, counts, forbidden, protected = super().get_deleted_objects(objs, request)
        named = [f"{name}, and its clips that are not in any other batch" for name in named]
        if not request.user.has_perm("classifier.delete_clip"):
            forbidden.add("clip")
        return named, counts, forbidden, protected


@admin.register(BatchFile)
class BatchFileAdmin(ReadOnly):
    list_display = ("path", "batch", "outcome", "state", "predicted", "confidence", "why")
    list_filter = ("outcome",)
    list_select_related = ("batch", "analysis__clip")
    ordering = ("-id",)
    heavy_columns = HEAVY_OF_ANALYSIS
    sortable_by = ()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow filtering by analysis state, which the links in the list of batches use."""
        return lookup == "analysis__state" or super().lookup_allowed(lookup, value, request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[BatchFile]) -> None:
        queryset.delete()  # these rows have no stored files

    @admin.display(description="analysis")
    def state(self, file: BatchFile) -> SafeString | str:
        if file.analysis is None:
            return "–"
        text = file.analysis.get_state_display()
        return link(text, "classifier_analysis_change", file.analysis.pk)

    @admin.display(description="prediction")
    def predicted(self, file: BatchFile) -> str:
        return predicted(file.analysis) if file.analysis and file.analysis.label else "–"

    @admin.display
    def confidence(self, file: BatchFile) -> str:
        return percent(file.analysis.confidence) if file.analysis else ""

    @admin.display(description="reason")
    def why(self, file: BatchFile) -> str:
        return file.error.detail if file.error else ""
