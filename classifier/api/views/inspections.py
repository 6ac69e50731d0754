"""Inspections: request one for an analysis, and get its state."""

from uuid import UUID

from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.schema import RETRY_AFTER, header, operation
from classifier.api.serializers.base import validated
from classifier.api.serializers.inspections import CreateInspection, InspectionDetail
from classifier.api.views.analyses import one_analysis
from classifier.api.views.base import ApiView, located
from classifier.models import Inspection, State
from classifier.services import inspections

RETRY_AFTER_S = 1


class AskView(ApiView):
    working_methods = ("POST",)

    @operation(
        "ask_inspection",
        {200: InspectionDetail, 202: InspectionDetail},
        tag="inspections",
        note=f"An inspection is kept for {inspections.DAYS_KEPT} days after the last request.",
        body=CreateInspection,
        parameters=(header("Location", "URL of the inspection.", (200, 202)),),
        errors=(409,),
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Inspect an analysis.

        202: the inspection is queued or running. 200: it is done already. A failed inspection is
        tried again. 409, `not_done`: the analysis is not done.
        """
        analysis = one_analysis(request, pk)
        asked = validated(CreateInspection, request.data)
        inspection = inspections.ask(analysis, inspections.Question(**asked))
        known = inspection.state == State.DONE
        answer = InspectionDetail(inspection)
        return located(answer, "api_inspection", inspection.pk, 200 if known else 202)


class InspectionView(ApiView):
    @operation("get_inspection", {200: InspectionDetail}, parameters=(RETRY_AFTER,))
    def get(self, request: Request, pk: UUID) -> Response:
        """Get an inspection."""
        inspection = get_object_or_404(Inspection.objects.for_owner(request.user), pk=pk)
        response = Response(InspectionDetail(inspection).data)
        if inspection.unfinished:
            response["Retry-After"] = str(RETRY_AFTER_S)
        return response
