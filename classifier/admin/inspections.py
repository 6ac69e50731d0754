"""The admin of inspections, read-only. They are deleted with their analysis or when unused."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from classifier.admin.lists import HEAVY_OF_ANALYSIS, NewestFirst, link
from classifier.checkpoints.class_names import display_name
from classifier.models import Inspection


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
    heavy_columns = ("figures", *HEAVY_OF_ANALYSIS)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="subject")
    def about(self, row: Inspection) -> str:
        return display_name(row.label) or row.map or f"window {row.window}"

    @admin.display(description="clip")
    def of_analysis(self, row: Inspection) -> SafeString:
        return link(row.analysis.clip.name, "classifier_analysis_change", row.analysis_id)

    @admin.display
    def owner(self, row: Inspection) -> str:
        return row.analysis.owner.get_username()
