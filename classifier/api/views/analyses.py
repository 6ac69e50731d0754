"""Analyses: list, look at, delete, cancel."""

from uuid import UUID

from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.filters import AnalysisFilters
from classifier.api.schema import RETRY_AFTER, operation
from classifier.api.serializers.analyses import AnalysisDetail, AnalysisRow
from classifier.api.views.base import ApiView
from classifier.models import Analysis, State
from classifier.services import deletion
from classifier.services.problems import refusal

# Seconds until asking again makes sense.
RETRY_AFTER_S = {State.QUEUED: 2, State.RUNNING: 1}


class AnalysesView(ApiView):
    @operation("list_analyses", {200: AnalysisRow(many=True)}, parameters=(AnalysisFilters,))
    def get(self, request: Request) -> Response:
        """List your analyses.

        Newest first. Filters are combined; one that is not understood is refused.
        """
        condition, batch = AnalysisFilters.of(request), AnalysisFilters.batch_of(request)
        rows = Analysis.objects.for_list(request.user, batch).filter(condition)
        return self.page(rows, lambda page: AnalysisRow(page, many=True))


class AnalysisView(ApiView):
    @operation("get_analysis", {200: AnalysisDetail}, parameters=(RETRY_AFTER,))
    def get(self, request: Request, pk: UUID) -> Response:
        """Look at an analysis."""
        analysis = one_analysis(request, pk)
        response = Response(AnalysisDetail(analysis).data)
        if analysis.unfinished:
            response["Retry-After"] = str(RETRY_AFTER_S[State(analysis.state)])
        return response

    @operation("delete_analysis", {204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Delete an analysis.

        With its pictures, for good; the clip stays.
        """
        deletion.delete_analysis(one_analysis(request, pk))
        return Response(status=204)


class CancelView(ApiView):
    @operation("cancel_analysis", {200: AnalysisDetail}, refusals=(409,))
    def post(self, request: Request, pk: UUID) -> Response:
        """Cancel an analysis that waits.

        Once a worker has taken it, it cannot be cancelled: 409, `not_waiting`.
        """
        analysis = one_analysis(request, pk)
        if not Analysis.objects.filter(pk=analysis.pk).cancel():
            raise refusal(
                "not_waiting",
                "Only an analysis that still waits can be cancelled.",
                "Ask for it to see how it ended; delete it if you no longer want it.",
                status=409,
            )
        return Response(AnalysisDetail(one_analysis(request, pk)).data)


def one_analysis(request: Request, pk: UUID) -> Analysis:
    return get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
