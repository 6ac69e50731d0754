"""Who uses the server, and how much."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from classifier.admin.lists import Browsing
from classifier.services import deletion
from classifier.services.usage import usage_of

admin.site.unregister(User)

USAGE = ("clips", "uploaded", "analyses", "failed", "batches", "last_upload")


@admin.register(User)
class PersonAdmin(Browsing, UserAdmin):
    list_display = ("username", "is_active", "is_staff", *USAGE)
    # The dates are facts; and what Django draws for them and for long lists has no labels.
    readonly_fields = (*USAGE, "last_login", "date_joined")
    filter_horizontal = ()

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        first, *others = super().get_fieldsets(request, obj)
        return [first, ("Usage", {"fields": USAGE}), *others] if obj else [first, *others]

    def delete_row(self, row: User) -> None:
        deletion.delete_account(row)

    # Rows carry the `usage` that is put there here; a User has none.
    def prepare(self, rows: Sequence[Any]) -> None:
        usage = usage_of(user.pk for user in rows)
        for user in rows:
            user.usage = usage[user.pk]

    @admin.display
    def clips(self, user: Any) -> SafeString:
        return _linked("clip", user, user.usage.clips)

    @admin.display
    def uploaded(self, user: Any) -> str:
        return filesizeformat(user.usage.size_bytes)

    @admin.display
    def analyses(self, user: Any) -> SafeString:
        return _linked("analysis", user, user.usage.analyses)

    @admin.display
    def failed(self, user: Any) -> SafeString:
        return _linked("analysis", user, user.usage.failed, "&state__exact=failed")

    @admin.display
    def batches(self, user: Any) -> SafeString:
        return _linked("batch", user, user.usage.batches)

    @admin.display(description="last upload")
    def last_upload(self, user: Any) -> str:
        when = user.usage.last_upload
        return date_format(localtime(when), "SHORT_DATETIME_FORMAT") if when else "–"


def _linked(kind: str, user: Any, count: int, condition: str = "") -> SafeString:
    """A number that leads to the rows it counts."""
    address = reverse(f"admin:classifier_{kind}_changelist")
    return format_html('<a href="{}?owner={}{}">{}</a>', address, user.pk, condition, count)
