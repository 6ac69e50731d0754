from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from classifier.admin import search
from classifier.admin.lists import NewestFirst
from classifier.models import Clip
from classifier.services import deletion
from classifier.templatetags.sound import seconds


@admin.register(Clip)
class ClipAdmin(NewestFirst):
    list_display = ("name", "owner", "format", "length", "megabytes", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("owner",)
    sortable_by = ("created_at",)
    # Named here for the box to appear; `get_search_results` searches.
    search_fields = ("name",)
    search_help_text = search.HELP

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Clip], search_term: str
    ) -> tuple[QuerySet[Clip], bool]:
        return search.search(queryset, search_term.strip(), "pk"), False

    @admin.display(ordering="duration_s")
    def length(self, row: Clip) -> str:
        return seconds(row.duration_s)

    @admin.display(description="MB", ordering="size_bytes")
    def megabytes(self, row: Clip) -> str:
        return f"{row.size_bytes / 1e6:.2f}"

    def delete_model(self, request: HttpRequest, obj: Clip) -> None:
        deletion.delete_clip(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Clip]) -> None:
        for clip in queryset:
            deletion.delete_clip(clip)
