"""Inspections: ask for an inspection at an analysis, and see how it goes."""

from uuid import UUID

from django.shortcuts import get_object_or_404
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.schema import RETRY_AFTER, header, operation
from classifier.api.serializers.base import validated
from classifier.api.serializers.inspections import InspectionDetail, NewInspection
from classifier.api.views.analyses import one_analysis
from classifier.api.views.base import ApiView, located
from classifier.models import Inspection, State
from classifier.services import inspections

RETRY_AFTER_S = 1


class AskView(ApiView):
    parser_classes = (JSONParser,)
    working_methods = ("POST",)

    @operation(
        "ask_inspection",
        {200: InspectionDetail, 202: InspectionDetail},
        tag="inspections",
        words=f"It is kept for {inspections.DAYS_KEPT} days after it was last asked for.",
        body=NewInspection,
        parameters=(header("Location", "Address of the inspection.", (200, 202)),),
        refusals=(409,),
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Inspect an analysis.

        An analysis that is not done cannot be looked at: 409, `not_done`. 202: it waits for a
        worker, or one is at it. 200: it was made before, and here it is. One that failed is tried
        again.
        """
        analysis = one_analysis(request, pk)
        asked = validated(NewInspection, request.data)
        inspection = inspections.ask(analysis, inspections.Question(**asked))
        known = inspection.state == State.DONE
        answer = InspectionDetail(inspection)
        return located(answer, "api_inspection", inspection.pk, 200 if known else 202)


class InspectionView(ApiView):
    @operation("get_inspection", {200: InspectionDetail}, parameters=(RETRY_AFTER,))
    def get(self, request: Request, pk: UUID) -> Response:
        """Look at an inspection."""
        inspection = get_object_or_404(Inspection.objects.for_owner(request.user), pk=pk)
        response = Response(InspectionDetail(inspection).data)
        if inspection.unfinished:
            response["Retry-After"] = str(RETRY_AFTER_S)
        return response
