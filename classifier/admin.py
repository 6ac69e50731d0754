"""Browsing for those who keep the house: everything to see, nothing to falsify."""

from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from classifier import files, media, uploads
from classifier.models import Analysis, Clip, State
from classifier.templatetags.sound import percent, seconds, words

PAGE_ROWS = 50

admin.site.site_header = admin.site.site_title = "Sonoscope"
admin.site.index_title = "Administration"


class ReadOnly(admin.ModelAdmin):
    """Rows come from uploads and workers only; here they can be looked at and deleted."""

    list_per_page = PAGE_ROWS
    show_full_result_count = False
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
        "created_at",
        "lane",
        "checkpoint",
    )
    list_display_links = ("strip", "heard")
    list_filter = (
        "state",
        "lane",
        ("owner", admin.RelatedOnlyFieldListFilter),
        ("label", admin.AllValuesFieldListFilter),
        ("checkpoint", admin.AllValuesFieldListFilter),
        "created_at",
    )
    list_select_related = ("clip", "owner")
    search_fields = ("clip__name", "clip__sha256", "owner__username", "label")
    search_help_text = "File name, SHA-256, user or label"
    actions = ("analyse_again",)
    exclude = ("token", "predictions", "scope", "maps")
    readonly_fields = ("strip", "best_five")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Analysis]:
        rows = super().get_queryset(request)
        match = request.resolver_match
        if match and match.url_name == "classifier_analysis_changelist":
            return rows.defer("predictions", "scope", "maps", "timings")
        return rows

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

    @admin.display(description="clip", ordering="clip__name")
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


@admin.register(Clip)
class ClipAdmin(ReadOnly):
    list_display = ("name", "owner", "format", "length", "megabytes", "created_at")
    list_filter = (("owner", admin.RelatedOnlyFieldListFilter), "format", "created_at")
    list_select_related = ("owner",)
    search_fields = ("name", "sha256", "owner__username")
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
