"""The admin of users and their usage."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from classifier import links
from classifier.admin.lists import MAX_NAMED, Browsing, link
from classifier.services import deletion
from classifier.services.usage import Usage, total_of, usage_of

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
    actions = ("delete_data",)
    change_form_template = "classifier/admin_user.html"
    delete_row = staticmethod(deletion.delete_account)
    clips = _count("clips", "clip")
    analyses = _count("analyses", "analysis")
    failed = _count("failed", "analysis", "&state__exact=failed")
    batches = _count("batches", "batch")

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        first, *others = super().get_fieldsets(request, obj)
        return [first, ("Usage", {"fields": USAGE}), *others] if obj else [first, *others]

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.reset_link)
        return [path("<id>/reset-link/", page, name="auth_user_reset_link"), *super().get_urls()]

    def reset_link(self, request: HttpRequest, id: str) -> HttpResponse:
        """Create a link with which a user can set a password, and show it once."""
        user = self.get_object(request, unquote(id))
        if not self.has_change_permission(request, user):
            raise PermissionDenied
        if user is None:
            raise Http404
        made = ""
        if request.method == "POST" and user.is_active:
            made = links.password_reset(user)
            self.log_change(request, user, "Created a link to reset the password.")
        context = {
            **self.admin_site.each_context(request),
            "title": "Link to reset the password",
            "opts": self.opts,
            "original": user,
            "made": made,
            "days": settings.RESET_LINK_DAYS,
        }
        return render(request, "classifier/admin_reset_link.html", context)

    def has_delete_data_permission(self, request: HttpRequest) -> bool:
        """Whether the administrator may delete all kinds of rows that a user's data has."""
        kinds = ("clip", "analysis", "batch", "inspection")
        deletes = request.user.has_perms([f"classifier.delete_{kind}" for kind in kinds])
        return deletes and self.has_change_permission(request)

    @admin.action(description="Delete data, keep the account", permissions=["delete_data"])
    def delete_data(self, request: HttpRequest, users: QuerySet[User]) -> HttpResponse | None:
        """Show what would be deleted; delete it when the administrator has confirmed."""
        usage = usage_of(users.values_list("pk", flat=True))
        rows = [(user, usage[user.pk]) for user in users]
        if not request.POST.get("post"):
            return self._confirm_deletion(request, rows)
        for user, used in rows:
            deletion.delete_data(user)
            self.log_change(request, user, f"Deleted the data: {used}.")
        one = rows[0][0].get_username() if len(rows) == 1 else f"{len(rows)} users"
        text = f"Deleted the data of {one}: {total_of(usage.values())}. The accounts were kept."
        self.message_user(request, text, messages.SUCCESS)
        return None

    def _confirm_deletion(
        self, request: HttpRequest, rows: Sequence[tuple[User, Usage]]
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Delete data, keep the account",
            "opts": self.opts,
            "media": self.media,
            "rows": rows,
            "named": rows[:MAX_NAMED],
            "others": max(0, len(rows) - MAX_NAMED),
            "total": total_of([used for _, used in rows]),
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return render(request, "classifier/admin_delete_data.html", context)

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
