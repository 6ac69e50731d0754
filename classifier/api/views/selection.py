"""Many analyses at once: export, analyse again, tag, delete."""

from typing import Any

from django.db.models import Q, QuerySet
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from classifier.api.filters import AnalysisFilters
from classifier.api.schema import operation
from classifier.api.serializers import selection as serializers
from classifier.api.serializers.base import validated
from classifier.api.serializers.events import EventExport
from classifier.api.views.base import ApiView
from classifier.api.views.events import FORMATS, TABLES, ExportView, export
from classifier.models import Analysis
from classifier.services import selection
from classifier.services.exports import formats, recordings
from classifier.services.problems import refusal

NOTE = (
    "The body names analyses by id, or all of them with `all`; the filters in the URL are those of "
    "the list."
)


def _selected(
    request: Request, form: type[Serializer]
) -> tuple[dict[str, Any], QuerySet[Analysis]]:
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
        """Analyse many clips again."""
        body, rows = _selected(request, serializers.SelectionToQueue)
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
        return Response(serializers.Changed(selection.delete(request.user, rows)).data)


class SelectionExportView(ExportView):
    @operation(
        "export_selection",
        {(200, "application/json"): EventExport, **TABLES},
        tag="analyses",
        note=f"{NOTE} {FORMATS}",
        body=serializers.SelectionToExport,
        parameters=(AnalysisFilters,),
        errors=(404,),
    )
    def post(self, request: Request) -> HttpResponseBase:
        """Export the events of many analyses.

        Of every finished one, newest first.
        """
        body, rows = _selected(request, serializers.SelectionToExport)
        found = recordings.of_analyses(rows, Q())
        return export(found, formats.Format(body["format"]), "history", several=True)
