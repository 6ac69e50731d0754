"""The admin of users and their usage."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from classifier.admin.lists import Browsing, link
from classifier.services import deletion
from classifier.services.usage import usage_of

admin.site.unregister(User)

USAGE = ("clips", "uploaded", "analyses", "failed", "batches", "last_upload")


def _count(name: str, kind: str, condition: str = "") -> Any:
    """Return a column with counts that link to the rows they count."""

    @admin.display(description=name)
    def column(_: admin.ModelAdmin, user: Any) -> SafeString:
        query = f"?owner={user.pk}{condition}"
        return link(getattr(user.usage, name), f"classifier_{kind}_changelist", query=query)

    return column


@admin.register(User)
class PersonAdmin(Browsing, UserAdmin):
    list_display = ("username", "is_active", "is_staff", *USAGE)
    # Django's date widgets and its filter for long lists have no labels.
    readonly_fields = (*USAGE, "last_login", "date_joined")
    filter_horizontal = ()
    delete_row = staticmethod(deletion.delete_account)
    clips = _count("clips", "clip")
    analyses = _count("analyses", "analysis")
    failed = _count("failed", "analysis", "&state__exact=failed")
    batches = _count("batches", "batch")

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        first, *others = super().get_fieldsets(request, obj)
        return [first, ("Usage", {"fields": USAGE}), *others] if obj else [first, *others]

    # `User` has no attribute `usage`; it is added to the rows here.
    def prepare(self, rows: Sequence[Any]) -> None:
        usage = usage_of(user.pk for user in rows)
        for user in rows:
            user.usage = usage[user.pk]

    @admin.display
    def uploaded(self, user: Any) -> str:
        return filesizeformat(user.usage.size_bytes)

    @admin.display(description="last upload")
    def last_upload(self, user: Any) -> str:
        when = user.usage.last_upload
        return date_format(localtime(when), "SHORT_DATETIME_FORMAT") if when else "–"
