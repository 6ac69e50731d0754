"""Inspections: ask for an inspection at an analysis, and see how it goes."""

from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import reverse
from rest_framework import status
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.schema import header, operation
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
        "Inspect an analysis",
        {200: InspectionDetail, 202: InspectionDetail},
        tag="inspections",
        words="202: it waits for a worker, or one is at it. 200: it was made before, and here it "
        f"is. It is kept for {inspections.DAYS_KEPT} days after it was last asked for; one that "
        "failed is tried again. An analysis that is not done cannot be looked at: 409, `not_done`.",
        body=NewInspection,
        parameters=(header("Location", "Address of the inspection.", (200, 202)),),
        refusals=(409,),
    )
    def post(self, request: Request, pk: UUID) -> Response:
        analysis = one_analysis(request, pk)
        asked = validated(NewInspection, request.data)
        inspection = inspections.ask(analysis, inspections.Question(**asked))
        known = inspection.state == State.DONE
        return located(
            InspectionDetail(inspection),
            reverse("api_inspection", args=[inspection.pk]),
            status.HTTP_200_OK if known else status.HTTP_202_ACCEPTED,
        )


class InspectionView(ApiView):
    @operation(
        "get_inspection",
        "Look at an inspection",
        {200: InspectionDetail},
        tag="inspections",
        parameters=(header("Retry-After", "Seconds until asking again makes sense.", (200,), int),),
    )
    def get(self, request: Request, pk: UUID) -> Response:
        inspection = get_object_or_404(Inspection.objects.for_owner(request.user), pk=pk)
        response = Response(InspectionDetail(inspection).data)
        if inspection.unfinished:
            response["Retry-After"] = str(RETRY_AFTER_S)
        return response
