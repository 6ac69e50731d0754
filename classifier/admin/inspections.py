"""Every inspection, to look at only: it goes with its analysis, or when nobody asks for it."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from classifier.admin.lists import HEAVY_COLUMNS, NewestFirst
from classifier.models import Inspection
from classifier.templatetags.sound import words


@admin.register(Inspection)
class InspectionAdmin(NewestFirst):
    list_display = (
        "kind",
        "about",
        "state",
        "of_analysis",
        "owner",
        "created_at",
        "finished_at",
        "used_at",
        "error_detail",
    )
    list_filter = ("state", "kind", "created_at")
    list_select_related = ("analysis__clip", "analysis__owner")
    sortable_by = ("created_at",)
    exclude = ("token",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Inspection]:
        rows = super().get_queryset(request)
        return rows.defer("figures", *(f"analysis__{name}" for name in HEAVY_COLUMNS))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display
    def about(self, row: Inspection) -> str:
        return words(row.label) or row.map or f"window {row.window}"

    @admin.display(description="analysis of")
    def of_analysis(self, row: Inspection) -> SafeString:
        address = reverse("admin:classifier_analysis_change", args=[row.analysis_id])
        return format_html('<a href="{}">{}</a>', address, row.analysis.clip.name)

    @admin.display
    def owner(self, row: Inspection) -> str:
        return row.analysis.owner.get_username()
