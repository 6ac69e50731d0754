"""Batches: make, fill, close, cancel, retry, delete, export. What one sends twice is known then."""

from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.filters import BatchFilters
from classifier.api.schema import header, operation
from classifier.api.serializers import batches as serializers
from classifier.api.serializers.base import validated
from classifier.api.views.base import ApiView, located
from classifier.models import Batch, FileOutcome
from classifier.services import batches, deletion
from classifier.services.exports import batch_files

FILE = {name: column.example for name, column in batch_files.COLUMNS.items()}
CSV_EXAMPLE = OpenApiExample("one file", "".join(batch_files.csv_of([FILE])), media_type="text/csv")


class BatchesView(ApiView):
    @operation("list_batches", {200: serializers.BatchRow(many=True)}, parameters=(BatchFilters,))
    def get(self, request: Request) -> Response:
        """List your batches.

        Newest first. Filters are combined; one that is not understood is refused.
        """
        rows = Batch.objects.for_owner(request.user).filter(BatchFilters.of(request))
        return self.page(rows, _summaries)

    @operation(
        "create_batch",
        {201: serializers.BatchDetail},
        body=serializers.NewBatch,
        parameters=(header("Location", "Address of the batch.", (201,)),),
    )
    def post(self, request: Request) -> Response:
        """Make a batch.

        It is empty and open. Send its files one by one, then close it. A `checkpoint` is for all
        of them.
        """
        asked = validated(serializers.NewBatch, request.data)
        batch = batches.create(request.user, asked["name"], checkpoint=asked.get("checkpoint", ""))
        return located(_detail(batch), "api_batch", batch.pk, 201)


class BatchView(ApiView):
    @operation("get_batch", {200: serializers.BatchDetail})
    def get(self, request: Request, pk: UUID) -> Response:
        """Look at a batch."""
        return Response(_detail(one_batch(request, pk)).data)

    @operation("delete_batch", {204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Delete a batch.

        With every clip that came in through it, their analyses and files, for good. Clips that
        another batch has too stay, and become that batch's own; what was a duplicate here stays
        where it came from. Cut off in the middle, the same request goes on.
        """
        deletion.delete_batch(one_batch(request, pk))
        return Response(status=204)


class BatchFilesView(ApiView):
    # Counted like everything else and not as uploads: single clips always go first, so that a
    # folder of thousands keeps nobody waiting.
    parser_classes = (MultiPartParser,)

    @operation(
        "add_file",
        {200: serializers.FileAnswer, 202: serializers.FileAnswer},
        words=f"A batch holds up to {batches.MAX_FILES:,} files. 409: it is full, closed or "
        "cancelled.",
        body={"multipart/form-data": serializers.FileForm},
        parameters=(
            header("Location", "Address of the analysis, unless it was refused.", (200, 202)),
        ),
        refusals=(409, 507),
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Send a file of a batch.

        202: taken in, it waits to be heard. 200: the batch knows this path, you sent these bytes
        before, or the file is refused; `outcome` and `known` say which. A path that is sent again
        changes nothing, so after a lost connection simply send everything again.
        """
        batch = one_batch(request, pk)
        sent = validated(serializers.FileForm, request.data)
        path = batches.path_of(sent.get("path") or sent["file"].name)
        known = batch.files.filter(path=path).first()
        file = known or batches.add_file(batch, path, sent["file"].chunks())
        new = not known and file.outcome == FileOutcome.ACCEPTED
        answer = serializers.FileAnswer(batch_files.sent_file(file, known=known is not None))
        response = Response(answer.data, status=202 if new else 200)
        if file.analysis_id:
            response["Location"] = reverse("api_analysis", args=[file.analysis_id])
        return response


class BatchCloseView(ApiView):
    @operation("close_batch", {200: serializers.BatchDetail})
    def post(self, request: Request, pk: UUID) -> Response:
        """Close a batch.

        Nothing more will come. What waits is still heard. Closing twice changes nothing.
        """
        batch = one_batch(request, pk)
        batches.close(batch)
        return Response(_detail(batch).data)


class BatchCancelView(ApiView):
    @operation("cancel_batch", {200: serializers.CancelledBatch})
    def post(self, request: Request, pk: UUID) -> Response:
        """Cancel a batch.

        It is closed, and what waits is cancelled. What is being heard is heard to its end, and
        what was heard stays.
        """
        batch = one_batch(request, pk)
        now = {"cancelled_now": batches.cancel(batch)}
        return Response(serializers.CancelledBatch(batch_files.detail(batch) | now).data)


class BatchRetryView(ApiView):
    working_methods = ("POST",)

    @operation("retry_batch", {200: serializers.RetriedBatch}, refusals=(409,))
    def post(self, request: Request, pk: UUID) -> Response:
        """Retry what failed.

        A new analysis of each file that failed. Refused files have none: send them in a new
        batch. 409: the batch is cancelled.
        """
        batch = one_batch(request, pk)
        now = {"retried_now": batches.retry_failed(batch)}
        return Response(serializers.RetriedBatch(batch_files.detail(batch) | now).data)


class BatchCsvView(ApiView):
    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """It is CSV whatever the client would rather have; only refusals are JSON."""
        return super().perform_content_negotiation(request, force=True)

    @operation(
        "export_batch_csv",
        {(200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, examples=[CSV_EXAMPLE])},
        words=f"Columns: {', '.join(batch_files.COLUMNS)}.",
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        """A batch as CSV.

        One line a file, by path, sent as it is read. UTF-8, with the names of the columns in the
        first line. Durations in seconds, confidences as shares from 0 to 1. A text that a
        spreadsheet would take for a formula has an apostrophe before it.
        """
        return batch_files.as_csv(one_batch(request, pk))


class BatchJsonView(ApiView):
    @operation("export_batch_json", {200: serializers.BatchExport})
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        """A batch as JSON.

        The batch and every file of it, by path, sent as it is read.
        """
        return batch_files.as_json(one_batch(request, pk))


def _detail(batch: Batch) -> serializers.BatchDetail:
    return serializers.BatchDetail(batch_files.detail(batch))


def _summaries(page: list[Batch]) -> serializers.BatchRow:
    totals = batches.totals_of(page)
    rows = [batch_files.summary(batch, totals[batch.pk]) for batch in page]
    return serializers.BatchRow(rows, many=True)


def one_batch(request: Request, pk: UUID) -> Batch:
    return get_object_or_404(Batch.objects.for_owner(request.user), pk=pk)
