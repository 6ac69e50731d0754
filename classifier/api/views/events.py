"""Events: list those of an analysis, and export them in the formats of other programs."""

from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request

from classifier.api.filters import EventFilters, EventPageFilters, HistoryEventFilters
from classifier.api.paging import ByStart
from classifier.api.schema import header, operation
from classifier.api.serializers.events import PAGE_OR_EXPORT, EventExport, EventSummary
from classifier.api.serializers.inspections import InspectionDetail
from classifier.api.views.analyses import one_analysis
from classifier.api.views.base import ApiView, located
from classifier.api.views.batches import one_batch
from classifier.api.views.inspections import RETRY_AFTER_S
from classifier.models import Analysis, State
from classifier.services.exports import event_sounds, formats, recordings
from classifier.services.exports.recordings import Recordings
from classifier.services.file_responses import download
from classifier.services.problems import refusal

TABLES: dict[tuple[int, str], Any] = {
    (200, "text/csv"): OpenApiTypes.STR,
    (200, "application/zip"): OpenApiTypes.BINARY,
    (200, "application/vnd.apache.parquet"): OpenApiTypes.BINARY,
}
FORMATS = f"Formats: {', '.join(formats.Format)}; see docs/exports.md."


class ExportView(ApiView):
    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Ignore the Accept header: `format` names the format, and errors are JSON."""
        return super().perform_content_negotiation(request, force=True)


class AnalysisEventsView(ExportView):
    pagination_class = ByStart

    @operation(
        "list_events",
        {
            (200, "application/json"): PAGE_OR_EXPORT,
            (200, "text/plain"): OpenApiTypes.STR,
            **TABLES,
            (202, "application/json"): InspectionDetail,
        },
        tag="events",
        note=FORMATS,
        parameters=(
            EventPageFilters,
            header("Location", "URL of the inspection that cuts the sounds.", (202,)),
            header("Retry-After", "Seconds to wait before the next request.", (202,), int),
        ),
        errors=(409,),
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        """List or export the events of an analysis.

        Without `format`, a page of events by start. With `format`, all of them as a file. The
        format `zip` also has the sounds of the events. 202: a worker is cutting them; request the
        ZIP again after `Retry-After` seconds. 409: the analysis is not done.
        """
        condition, form = EventPageFilters.events_of(request), EventPageFilters.format_of(request)
        analysis = one_analysis(request, pk)
        if analysis.state != State.DONE:
            raise refusal(
                "not_done",
                "Only a finished analysis has events.",
                "Wait until the state of the analysis is done.",
                status=409,
            )
        if form == formats.Format.ZIP and (waiting := event_sounds.prepare(analysis)):
            answer = located(InspectionDetail(waiting), "api_inspection", waiting.pk)
            answer["Retry-After"] = str(RETRY_AFTER_S)
            return answer
        if form:
            found = recordings.of_analysis(analysis, condition)
            return export(found, form, analysis.clip.name, several=False)
        context = {"clip": analysis.clip}
        rows = analysis.events.filter(condition).select_related("judgement__user")
        return self.page(rows, lambda page: EventSummary(page, many=True, context=context))


class BatchEventsView(ExportView):
    @operation(
        "export_batch_events",
        {(200, "application/json"): EventExport, **TABLES},
        tag="events",
        note=FORMATS,
        parameters=(EventFilters,),
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        """Export the events of a batch.

        Of every file whose analysis is done, by path. JSON unless `format` names another.
        """
        condition, form = EventFilters.events_of(request), EventFilters.format_of(request)
        batch = one_batch(request, pk)
        found = recordings.of_batch(batch, condition)
        return export(found, form or formats.Format.JSON, batch.name, several=True)


class EventsView(ExportView):
    @operation(
        "export_events",
        {(200, "application/json"): EventExport, **TABLES},
        note=FORMATS,
        parameters=(HistoryEventFilters,),
        errors=(404,),
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Export the events of your history.

        Of every finished analysis, newest first. `label` and `min_confidence` filter the events,
        the other filters the analyses. JSON unless `format` names another.
        """
        filters = HistoryEventFilters.values_of(request)
        condition = HistoryEventFilters.events_of(request)
        form = HistoryEventFilters.format_of(request) or formats.Format.JSON
        rows = Analysis.objects.matching(request.user, filters)
        name = filters["batch"].name if filters["batch"] else "history"
        return export(recordings.of_analyses(rows, condition), form, name, several=True)


def export(
    found: Recordings, form: formats.Format, name: str, *, several: bool
) -> HttpResponseBase:
    file = formats.file_of(form, name, several=several)
    return download(file.write(found), file.content_type, name + file.suffix)
