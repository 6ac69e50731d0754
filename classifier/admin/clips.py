from django.contrib import admin

from classifier.admin.lists import SearchedByClip
from classifier.models import Clip
from classifier.services import deletion
from classifier.templatetags.sound import seconds


@admin.register(Clip)
class ClipAdmin(SearchedByClip):
    list_display = ("name", "owner", "format", "length", "noted", "megabytes", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("owner",)
    sortable_by = ("created_at",)
    search_fields = ("name",)
    clip_id = "pk"
    delete_row = staticmethod(deletion.delete_clip)

    @admin.display(ordering="duration_s")
    def length(self, row: Clip) -> str:
        return seconds(row.duration_s)

    @admin.display(description="notices", empty_value="–")
    def noted(self, row: Clip) -> str | None:
        return row.notice_codes or None

    @admin.display(description="MB", ordering="size_bytes")
    def megabytes(self, row: Clip) -> str:
        return f"{row.size_bytes / 1e6:.2f}"
