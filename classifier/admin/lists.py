"""Base classes of the admin's lists; their cost does not depend on the number of rows."""

from collections.abc import Callable, Sequence
from functools import cached_property
from operator import attrgetter, methodcaller
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_permission_codename
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from classifier.admin import search
from classifier.admin.days import drill_down

PAGE_ROWS = 50
# Counting all rows would cost more than showing a page of them.
MAX_COUNTED = 10_000
# A delete confirmation names at most this many rows and counts the others.
MAX_NAMED = 20
# Large columns of an analysis, which no list shows, and their names in joined tables.
HEAVY_COLUMNS = ("predictions", "render_metadata", "embedding", "timings")
HEAVY_OF_ANALYSIS = tuple(f"analysis__{name}" for name in HEAVY_COLUMNS)


class CappedPaginator(Paginator):
    """A paginator that counts at most MAX_COUNTED rows."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        assert isinstance(rows, QuerySet)
        return rows.order_by()[:MAX_COUNTED].count()

    @property
    def capped(self) -> bool:
        return self.count == MAX_COUNTED


class PageList(ChangeList):
    """A change list that passes all rows of its page to `prepare`, which can use one query."""

    model_admin: "Browsing"
    paginator: CappedPaginator

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        return super().get_queryset(request, *args, **kwargs).defer(*self.model_admin.heavy_columns)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        self.model_admin.prepare(self.result_list)
        if self.paginator.capped or not self.params:
            # Otherwise Django shows it beside the search box, where a capped count would mislead.
            self.full_result_count = self.result_count

    def days(self) -> dict[str, Any]:
        """Return the context of Django's date hierarchy template."""
        return drill_down(self)


class Browsing(admin.ModelAdmin):
    """An admin whose lists cap their count, sort by index, and delete without naming every row."""

    list_per_page = PAGE_ROWS
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    change_list_template = "classifier/admin_list.html"
    heavy_columns: Sequence[str] = ()  # not loaded for lists
    # Deletes a row and its files; with Django's own deletion the files would stay until the sweep.
    delete_row: Callable[[Any], object] = methodcaller("delete")

    def prepare(self, rows: Sequence[Any]) -> None:
        """Add computed values to the rows of a page, or to the one row of a detail page."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.delete_row(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_row(row)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PageList

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any | None:
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            self.prepare([row])
        return row

    def get_deleted_objects(
        self, objs: Sequence[Any] | QuerySet[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Count related rows; Django would fetch and name each of them, however many there are."""
        rows = list(objs)
        counts = {str(self.opts.verbose_name_plural): len(rows)}
        forbidden = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        for relation in filter(attrgetter("one_to_many"), self.model._meta.related_objects):
            model: type[Model] = relation.related_model
            count = model._base_manager.filter(**{f"{relation.field.name}__in": rows}).count()
            if not count:
                continue
            name = str(model._meta.verbose_name_plural)
            counts[name] = counts.get(name, 0) + count
            may = f"{model._meta.app_label}.{get_permission_codename('delete', model._meta)}"
            if self.admin_site.is_registered(model) and not request.user.has_perm(may):
                forbidden.add(str(model._meta.verbose_name))
        named = [str(row) for row in rows[:MAX_NAMED]]
        return named, counts, forbidden, []


class ReadOnly(Browsing):
    """An admin in which rows cannot be added or changed; only uploads and workers create them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class NewestFirst(ReadOnly):
    ordering = ("-created_at", "-id")
    date_hierarchy = "created_at"


class SearchedByClip(NewestFirst):
    """An admin whose search box, which Django shows for `search_fields`, uses `search.search`."""

    search_help_text = search.HELP
    clip_id = "clip"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return search.search(queryset, search_term.strip(), self.clip_id), False


def link(text: object, page: str, *arguments: object, query: str = "") -> SafeString:
    """Return a link to a page of the admin, such as `classifier_clip_changelist`."""
    address = reverse(f"admin:{page}", args=arguments)
    return format_html('<a href="{}{}">{}</a>', address, query, text)
