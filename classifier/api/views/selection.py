"""Many analyses at once: export, analyse again, tag, delete."""

from typing import Any

from django.db.models import Q
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from classifier.api.filters import AnalysisFilters
from classifier.api.schema import operation
from classifier.api.serializers import selection as serializers
from classifier.api.serializers.base import validated
from classifier.api.serializers.events import EventExport
from classifier.api.views.base import ApiView
from classifier.api.views.events import TABLES, ExportView, export
from classifier.models import Analysis
from classifier.models.analyses import AnalysisQuerySet
from classifier.models.history import DEFAULT_SORT
from classifier.services import selection
from classifier.services.exports import analysis_rows, formats, recordings
from classifier.services.exports.analysis_rows import RowFormat
from classifier.services.problems import refusal

NOTE = (
    "The body names analyses by id, or all of them with `all`; the filters in the URL are those of "
    "the list."
)


def _selected(request: Request, form: type[Serializer]) -> tuple[dict[str, Any], AnalysisQuerySet]:
    """Return the values of the body, and the rows.

    Raises
    ------
    RequestRefused
        The body has neither ids nor `all`, or both (400).
    """
    filters = AnalysisFilters.values_of(request)
    body = validated(form, request.data)
    if body["all"] == ("analyses" in body):
        raise refusal(
            "nothing_selected",
            "The body must have either `analyses` or `all`.",
            "Send the ids of analyses, or `all` with filters in the URL.",
        )
    rows = Analysis.objects.matching(request.user, filters)
    return body, rows if body["all"] else rows.filter(pk__in=body["analyses"])


class SelectionAgainView(ApiView):
    working_methods = ("POST",)

    @operation(
        "analyse_selection_again",
        {202: serializers.Queued},
        tag="analyses",
        note=NOTE,
        body=serializers.SelectionToQueue,
        parameters=(AnalysisFilters,),
        errors=(404,),
    )
    def post(self, request: Request) -> Response:
        """Analyse many clips again.

        With `all`, analyses whose clip has a newer one are left out. The oldest analyses come
        first, so that the same request, repeated, continues.
        """
        body, rows = _selected(request, serializers.SelectionToQueue)
        if body["all"]:
            rows = rows.latest_of_clips()
        done = selection.analyse_again(request.user, rows, body.get("checkpoint", ""))
        return Response(serializers.Queued(done).data, status=202)


class SelectionTagView(ApiView):
    @operation(
        "tag_selection",
        {200: serializers.Changed},
        tag="analyses",
        note=NOTE,
        body=serializers.SelectionToTag,
        parameters=(AnalysisFilters,),
        errors=(404,),
    )
    def post(self, request: Request) -> Response:
        """Add a tag to many clips."""
        body, rows = _selected(request, serializers.SelectionToTag)
        return Response(serializers.Changed(selection.tag(request.user, rows, body["tag"])).data)


class SelectionUntagView(ApiView):
    @operation(
        "untag_selection",
        {200: serializers.Changed},
        tag="analyses",
        note=NOTE,
        body=serializers.SelectionToTag,
        parameters=(AnalysisFilters,),
        errors=(404,),
    )
    def post(self, request: Request) -> Response:
        """Remove a tag from many clips."""
        body, rows = _selected(request, serializers.SelectionToTag)
        return Response(serializers.Changed(selection.untag(request.user, rows, body["tag"])).data)


class SelectionDeleteView(ApiView):
    @operation(
        "delete_selection",
        {200: serializers.Changed},
        tag="analyses",
        note=NOTE,
        body=serializers.Selection,
        parameters=(AnalysisFilters,),
        errors=(404,),
    )
    def post(self, request: Request) -> Response:
        """Delete many clips.

        Permanently deletes the clips with all their analyses and files.
        """
        _, rows = _selected(request, serializers.Selection)
        found = selection.selected(rows)
        return Response(serializers.Changed(selection.delete(request.user, found)).data)


class SelectionExportView(ExportView):
    @operation(
        "export_selection",
        {
            (200, "application/json"): EventExport,
            (200, "application/x-ndjson"): OpenApiTypes.STR,
            **TABLES,
        },
        tag="analyses",
        note=f"{NOTE} Formats: {', '.join((*RowFormat, *formats.Format))}; see docs/exports.md.",
        body=serializers.SelectionToExport,
        parameters=(AnalysisFilters,),
        errors=(404,),
    )
    def post(self, request: Request) -> HttpResponseBase:
        """Export many analyses, or their events.

        The formats `rows.csv` and `rows.jsonl` are tables with one row for each analysis, in the
        order of `sort`. The others have the events of every finished one, newest first.
        """
        body, rows = _selected(request, serializers.SelectionToExport)
        if body["format"] in list(RowFormat):
            sort = AnalysisFilters.lookups(request).get("sort", DEFAULT_SORT)
            return analysis_rows.download_of(rows, sort, RowFormat(body["format"]))
        found = recordings.of_analyses(rows, Q())
        return export(found, formats.Format(body["format"]), "history", several=True)
