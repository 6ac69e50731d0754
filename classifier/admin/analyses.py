"""The admin of analyses: view, play, requeue, stop, export and delete."""

from operator import attrgetter
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import ngettext

from classifier import storage
from classifier.admin.filters import CheckpointFilter, FailureFilter, LabelFilter, WaitingFilter
from classifier.admin.lists import HEAVY_COLUMNS, SearchedByClip
from classifier.checkpoints.class_names import display_name
from classifier.models import Analysis, State
from classifier.monitoring import dashboard
from classifier.services import deletion, uploads
from classifier.services.exports.csv_lines import csv_lines
from classifier.services.file_responses import ranged
from classifier.templatetags.sound import percent, predicted, seconds
from ml.errors import Problem

STOPPED = Problem(
    "stopped",
    "An administrator stopped this analysis.",
    "Analyse the clip again, or ask the administrator why the analysis was stopped.",
)
# Column of the export → attribute path of the analysis.
CSV_COLUMNS = {
    "analysis": "pk",
    "clip": "clip.name",
    "owner": "owner.username",
    "state": "state",
    "label": "label",
    "confidence": "confidence",
    "not_sure": "not_sure",
    "duration_s": "clip.duration_s",
    "notices": "clip.notice_codes",
    "checkpoint": "checkpoint",
    "created_at": "created_at",
    "finished_at": "finished_at",
    "error_code": "error_code",
    "error_detail": "error_detail",
}


@admin.register(Analysis)
class AnalysisAdmin(SearchedByClip):
    list_display = (
        "strip",
        "predicted",
        "confidence_percent",
        "state",
        "clip",
        "notices",
        "owner",
        "taken_s",
        "created_at",
        "lane",
        "checkpoint",
    )
    list_display_links = ("strip", "predicted")
    list_filter = (
        "state",
        WaitingFilter,
        LabelFilter,
        FailureFilter,
        CheckpointFilter,
        "created_at",
    )
    sortable_by = ("predicted", "confidence_percent", "created_at")
    list_select_related = ("clip", "owner")
    search_fields = ("clip__name",)
    actions = ("analyse_again", "mark_as_failed", "export_csv")
    exclude = ("token", "predictions", "render_metadata", "early_pictures")
    readonly_fields = ("strip", "best_five")
    heavy_columns = HEAVY_COLUMNS
    delete_row = staticmethod(deletion.delete_analysis)

    @admin.display(description="spectrogram")
    def strip(self, row: Analysis) -> SafeString | str:
        if row.state != State.DONE:
            return "–"
        url = reverse("admin:analysis_strip", args=[row.pk])
        picture = '<img src="{}" width="160" height="32" alt="Spectrogram" loading="lazy">'
        return format_html(picture, url)

    @admin.display(description="prediction", ordering="label")
    def predicted(self, row: Analysis) -> str:
        return predicted(row) if row.label else row.error_detail or "–"

    @admin.display(description="confidence", ordering="confidence")
    def confidence_percent(self, row: Analysis) -> str:
        return percent(row.confidence)

    @admin.display(empty_value="–")
    def notices(self, row: Analysis) -> str | None:
        return row.clip.notice_codes or None

    @admin.display(description="time taken")
    def taken_s(self, row: Analysis) -> str:
        if row.started_at is None or row.finished_at is None:
            return "–"
        return seconds((row.finished_at - row.started_at).total_seconds())

    @admin.display(description="top five")
    def best_five(self, row: Analysis) -> str:
        return ", ".join(
            f"{display_name(p['class'])} {percent(p['confidence'])}" for p in row.predictions[:5]
        )

    @admin.action(description="Analyse again")
    def analyse_again(self, request: HttpRequest, rows: QuerySet[Analysis]) -> None:
        clips = {row.clip_id: row.clip for row in rows.select_related("clip")}
        for clip in clips.values():
            uploads.analyse_again(clip)
        count = len(clips)
        text = ngettext(
            "%d clip will be analysed again.", "%d clips will be analysed again.", count
        )
        self.message_user(request, text % count, messages.SUCCESS)

    @admin.action(description="Mark as failed")
    def mark_as_failed(self, request: HttpRequest, rows: QuerySet[Analysis]) -> None:
        stopped = Analysis.objects.filter(pk__in=rows.values("pk")).fail(STOPPED)
        text = ngettext(
            "%d unfinished analysis was stopped.", "%d unfinished analyses were stopped.", stopped
        )
        self.message_user(request, text % stopped, messages.SUCCESS)

    @admin.action(description="Export as CSV")
    def export_csv(self, request: HttpRequest, rows: QuerySet[Analysis]) -> StreamingHttpResponse:
        found = rows.select_related("clip", "owner").iterator(chunk_size=500)
        return StreamingHttpResponse(
            csv_lines(list(CSV_COLUMNS), map(attrgetter(*CSV_COLUMNS.values()), found)),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="analyses.csv"'},
        )

    def get_urls(self) -> list:
        for_staff = self.admin_site.admin_view
        return [
            path("<uuid:pk>/strip.png", for_staff(self.strip_png), name="analysis_strip"),
            path("workers/", for_staff(self.workers), name="workers"),
            *super().get_urls(),
        ]

    def workers(self, request: HttpRequest) -> HttpResponse:
        """Return the list of workers for the dashboard, which loads it separately."""
        return render(request, "classifier/_workers.html", {"workers": dashboard.workers()})

    def strip_png(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        row = Analysis.objects.filter(pk=pk, state=State.DONE).only("pk", "token").first()
        if row is None or not self.has_view_permission(request):
            raise Http404
        return ranged(request, row.folder / storage.STRIP, "image/png")
