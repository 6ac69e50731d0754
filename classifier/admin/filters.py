"""Admin filters that read their choices and rows from an index."""

from operator import itemgetter
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from classifier.checkpoints.class_names import display_name
from classifier.models import Analysis, Lane, State

# The label and checkpoint filters offer the values of this many latest rows.
RECENT_ROWS = 2_000


class RecentValuesFilter(admin.SimpleListFilter):
    """A filter by values of the latest rows; finding all values would read the whole table."""

    parameter_name: str

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        latest = Analysis.objects.order_by("-created_at", "-id").values_list(
            self.parameter_name, flat=True
        )
        return [(value, value) for value in sorted(set(latest[:RECENT_ROWS]) - {""})]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        value = self.value()
        return queryset.filter(**{self.parameter_name: value}) if value else queryset


class LabelFilter(RecentValuesFilter):
    title, parameter_name = "class", "label"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        names = super().lookups(request, model_admin)
        return sorted(((name, display_name(name)) for name, _ in names), key=itemgetter(1))


class CheckpointFilter(RecentValuesFilter):
    title = parameter_name = "checkpoint"


class FailureFilter(RecentValuesFilter):
    title, parameter_name = "failure", "error_code"

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        rows = super().queryset(request, queryset)
        return rows.filter(state=State.FAILED) if self.value() else rows


class WaitingFilter(admin.SimpleListFilter):
    title, parameter_name = "lane of waiting analyses", "waiting"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> Any:
        return Lane.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        lane = {str(lane.value): lane for lane in Lane}.get(self.value() or "")
        return queryset if lane is None else queryset.filter(state=State.QUEUED, lane=lane)
