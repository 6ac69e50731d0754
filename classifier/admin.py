"""Browsing for those who keep the house: everything to see, nothing to falsify."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from classifier import batches, files, media, uploads
from classifier.csv_stream import csv_lines
from classifier.models import Analysis, Batch, Clip, State
from classifier.templatetags.sound import percent, seconds, words

PAGE_ROWS = 50
# Further than this nobody pages; counting all rows would cost more than showing them.
MOST_COUNTED = 10_000
# Labels and checkpoints to filter by are those of this many latest rows.
LATELY_ROWS = 2_000
# Clips and users that one search finds.
MOST_FOUND = 500

admin.site.site_header = admin.site.site_title = "Sonoscope"
admin.site.index_title = "Administration"
admin.site.index_template = "classifier/admin_index.html"


class CappedPaginator(Paginator):
    """Counts no further than MOST_COUNTED."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        assert isinstance(rows, QuerySet)
        return rows.order_by()[:MOST_COUNTED].count()


class Lately(admin.SimpleListFilter):
    """Choices are the values lately seen: finding all of them would read the whole table."""

    parameter_name: str

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        latest = Analysis.objects.order_by("-created_at", "-id").values_list(
            self.parameter_name, flat=True
        )
        return [(value, value) for value in sorted(set(latest[:LATELY_ROWS]) - {""})]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        value = self.value()
        return queryset.filter(**{self.parameter_name: value}) if value else queryset


class LabelFilter(Lately):
    title = parameter_name = "label"


class CheckpointFilter(Lately):
    title = parameter_name = "checkpoint"


class FailureFilter(Lately):
    title, parameter_name = "failure", "error_code"


class ReadOnly(admin.ModelAdmin):
    """Rows come from uploads and workers only; here they can be looked at and deleted."""

    list_per_page = PAGE_ROWS
    show_full_result_count = False
    paginator = CappedPaginator
    ordering = ("-created_at", "-id")
    date_hierarchy = "created_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Analysis)
class AnalysisAdmin(ReadOnly):
    list_display = (
        "strip",
        "heard",
        "confidence_percent",
        "clip_name",
        "owner",
        "state",
        "taken_s",
        "created_at",
        "lane",
        "checkpoint",
    )
    list_display_links = ("strip", "heard")
    list_filter = (
        "state",
        "lane",
        LabelFilter,
        FailureFilter,
        CheckpointFilter,
        "created_at",
    )
    list_select_related = ("clip", "owner")
    # Named here for the box to appear; `get_search_results` searches, one index at a time.
    search_fields = ("clip__name",)
    search_help_text = "File name, SHA-256 or user"
    actions = ("analyse_again", "mark_as_failed", "export_csv")
    exclude = ("token", "predictions", "scope", "maps")
    readonly_fields = ("strip", "best_five")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Analysis]:
        rows = super().get_queryset(request)
        match = request.resolver_match
        if match and match.url_name == "classifier_analysis_changelist":
            return rows.defer("predictions", "scope", "maps", "timings")
        return rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Analysis], search_term: str
    ) -> tuple[QuerySet[Analysis], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        clips = Clip.objects.filter(Q(name__icontains=term) | Q(sha256__startswith=term))
        owners = get_user_model().objects.filter(username__icontains=term)
        found = Q(
            clip__in=list(clips.order_by("-created_at").values_list("pk", flat=True)[:MOST_FOUND])
        ) | Q(owner__in=list(owners.values_list("pk", flat=True)[:MOST_FOUND]))
        return queryset.filter(found), False

    @admin.display(description="spectrogram")
    def strip(self, row: Analysis) -> SafeString | str:
        if row.state != State.DONE:
            return "–"
        url = reverse("admin:analysis_strip", args=[row.pk])
        return format_html('<img src="{}" width="160" height="32" alt="" loading="lazy">', url)

    @admin.display(description="heard as", ordering="label")
    def heard(self, row: Analysis) -> str:
        return words(row.label) if row.label else row.error_detail or "–"

    @admin.display(description="confidence", ordering="confidence")
    def confidence_percent(self, row: Analysis) -> str:
        return percent(row.confidence)

    @admin.display(description="time taken")
    def taken_s(self, row: Analysis) -> str:
        if row.started_at is None or row.finished_at is None:
            return "–"
        return seconds((row.finished_at - row.started_at).total_seconds())

    @admin.display(description="clip")
    def clip_name(self, row: Analysis) -> str:
        return row.clip.name

    @admin.display(description="best five")
    def best_five(self, row: Analysis) -> str:
        return ", ".join(
            f"{words(p['class'])} {percent(p['confidence'])}" for p in row.predictions[:5]
        )

    @admin.action(description="Analyse again")
    def analyse_again(self, request: HttpRequest, rows: QuerySet[Analysis]) -> None:
        clips = {row.clip_id: row.clip for row in rows.select_related("clip")}
        for clip in clips.values():
            uploads.analyse_again(clip)
        self.message_user(request, f"{len(clips)} clips wait to be heard again.", messages.SUCCESS)

    @admin.action(description="Mark as failed")
    def mark_as_failed(self, request: HttpRequest, rows: QuerySet[Analysis]) -> None:
        stopped = Analysis.objects.filter(pk__in=rows.values("pk")).stop(
            "stopped", "Somebody who keeps this Sonoscope stopped it.", "Ask them, or try again."
        )
        self.message_user(request, f"{stopped} unfinished analyses were stopped.", messages.SUCCESS)

    @admin.action(description="Export as CSV")
    def export_csv(self, request: HttpRequest, rows: QuerySet[Analysis]) -> StreamingHttpResponse:
        return StreamingHttpResponse(
            csv_lines(
                CSV_COLUMNS,
                map(_cells, rows.select_related("clip", "owner").iterator(chunk_size=500)),
            ),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="analyses.csv"'},
        )

    def delete_model(self, request: HttpRequest, obj: Analysis) -> None:
        uploads.delete_analysis(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Analysis]) -> None:
        for analysis in queryset:
            uploads.delete_analysis(analysis)

    def get_urls(self) -> list:
        strip = path(
            "<uuid:pk>/strip.png", self.admin_site.admin_view(self.strip_png), name="analysis_strip"
        )
        return [strip, *super().get_urls()]

    def strip_png(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        row = Analysis.objects.filter(pk=pk, state=State.DONE).only("pk", "token").first()
        if row is None or not self.has_view_permission(request):
            raise Http404
        path = files.analysis_folder(row.pk, row.token) / files.STRIP
        return media.ranged(request, path, "image/png")


CSV_COLUMNS = (
    "analysis", "clip", "owner", "state", "label", "confidence", "duration_s", "checkpoint",
    "created_at", "finished_at", "error_code", "error_detail",
)  # fmt: skip


def _cells(row: Analysis) -> tuple[object, ...]:
    return (
        row.pk, row.clip.name, row.owner.get_username(), row.state, row.label, row.confidence,
        row.clip.duration_s, row.checkpoint, row.created_at, row.finished_at,
        row.error_code, row.error_detail,
    )  # fmt: skip


@admin.register(Clip)
class ClipAdmin(ReadOnly):
    list_display = ("name", "owner", "format", "length", "megabytes", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("owner",)
    search_fields = ("name", "sha256__startswith", "owner__username")
    search_help_text = "File name, SHA-256 or user"

    @admin.display(ordering="duration_s")
    def length(self, row: Clip) -> str:
        return seconds(row.duration_s)

    @admin.display(description="MB", ordering="size_bytes")
    def megabytes(self, row: Clip) -> str:
        return f"{row.size_bytes / 1e6:.2f}"

    def delete_model(self, request: HttpRequest, obj: Clip) -> None:
        uploads.delete_clip(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Clip]) -> None:
        for clip in queryset:
            uploads.delete_clip(clip)


@admin.register(Batch)
class BatchAdmin(ReadOnly):
    list_display = ("name", "owner", "created_at", "closed_at", "cancelled_at")
    list_filter = ("created_at",)
    list_select_related = ("owner",)
    search_fields = ("name", "owner__username")
    search_help_text = "Name or user"
    readonly_fields = ("counts",)

    @admin.display(description="files")
    def counts(self, batch: Batch) -> str:
        return ", ".join(f"{n} {what}" for what, n in batches.totals(batch).as_dict().items() if n)

    def get_deleted_objects(
        self, objs: QuerySet[Any] | Sequence[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """One line a batch instead of one a file, and what goes with it."""
        files = batches.totals_of(objs)
        lines = [
            f"{batch.name}: {files[batch.pk].total} files, and the clips that came in through it "
            "and are in no other batch"
            for batch in objs
        ]
        may = request.user.has_perm("classifier.delete_clip")
        return lines, {"batches": len(lines)}, set() if may else {"clip"}, []

    def delete_model(self, request: HttpRequest, obj: Batch) -> None:
        batches.delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Batch]) -> None:
        for batch in queryset:
            batches.delete(batch)
