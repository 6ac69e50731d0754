"""Analyses: list, get, delete, cancel."""

from uuid import UUID

from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.filters import AnalysisPageFilters
from classifier.api.paging import Sorted
from classifier.api.schema import RETRY_AFTER, operation
from classifier.api.serializers.analyses import AnalysisDetail, AnalysisSummary
from classifier.api.views.base import ApiView
from classifier.models import Analysis, State
from classifier.models.history import DEFAULT_SORT, SORTS
from classifier.services import deletion
from classifier.services.problems import refusal

# Seconds to wait before the next request.
RETRY_AFTER_S = {State.QUEUED: 2, State.RUNNING: 1}


class AnalysesView(ApiView):
    pagination_class = Sorted

    @operation(
        "list_analyses", {200: AnalysisSummary(many=True)}, parameters=(AnalysisPageFilters,)
    )
    def get(self, request: Request) -> Response:
        """List your analyses.

        Newest first, or in the order of `sort`. Filters are combined; unknown filters are rejected.
        """
        filters = AnalysisPageFilters.values_of(request)
        rows = Analysis.objects.for_list(request.user, **filters)
        order = SORTS[filters.get("sort", DEFAULT_SORT)].columns
        return self.page(rows, lambda page: AnalysisSummary(page, many=True), order)


class AnalysisView(ApiView):
    @operation("get_analysis", {200: AnalysisDetail}, parameters=(RETRY_AFTER,))
    def get(self, request: Request, pk: UUID) -> Response:
        """Get an analysis."""
        analysis = one_analysis(request, pk)
        response = Response(AnalysisDetail(analysis).data)
        if analysis.unfinished:
            response["Retry-After"] = str(RETRY_AFTER_S[State(analysis.state)])
        return response

    @operation("delete_analysis", {204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Delete an analysis.

        Permanently deletes the analysis, its images, its events and their judgements. The clip
        and its judgement stay.
        """
        deletion.delete_analysis(one_analysis(request, pk))
        return Response(status=204)


class CancelView(ApiView):
    @operation("cancel_analysis", {200: AnalysisDetail}, errors=(409,))
    def post(self, request: Request, pk: UUID) -> Response:
        """Cancel a queued analysis.

        A running or finished analysis cannot be cancelled: 409, `not_waiting`.
        """
        analysis = one_analysis(request, pk)
        if not Analysis.objects.filter(pk=analysis.pk).cancel():
            raise refusal(
                "not_waiting",
                "Only a queued analysis can be cancelled.",
                "Get the analysis to see its state. Delete it if you no longer need it.",
                status=409,
            )
        return Response(AnalysisDetail(one_analysis(request, pk)).data)


def one_analysis(request: Request, pk: UUID) -> Analysis:
    return get_object_or_404(Analysis.objects.for_owner(request.user), pk=pk)
