"""Batches: create, add files, close, cancel, retry, delete, export."""

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

from classifier.api.filters import BatchFilters, FolderFilters
from classifier.api.paging import PAGE_ROWS
from classifier.api.schema import header, operation
from classifier.api.serializers import batches as serializers
from classifier.api.serializers.base import validated
from classifier.api.views.base import ApiView, located
from classifier.models import Batch, FileOutcome
from classifier.services import batch_summary, batches, deletion, uploads
from classifier.services.exports import batch_files
from classifier.services.problems import RETRYABLE

CSV_EXAMPLE = OpenApiExample(
    "Example", "".join(batch_files.csv_of([serializers.FILE])), media_type="text/csv"
)


class BatchesView(ApiView):
    @operation(
        "list_batches", {200: serializers.BatchSummary(many=True)}, parameters=(BatchFilters,)
    )
    def get(self, request: Request) -> Response:
        """List your batches.

        Newest first. Filters are combined; unknown filters are rejected.
        """
        rows = Batch.objects.for_owner(request.user).filter(BatchFilters.of(request))
        return self.page(rows, _summaries)

    @operation(
        "create_batch",
        {201: serializers.BatchDetail},
        body=serializers.CreateBatch,
        parameters=(header("Location", "URL of the batch.", (201,)),),
    )
    def post(self, request: Request) -> Response:
        """Create a batch.

        The batch is empty and open. Add its files one by one, then close it. `checkpoint` applies
        to all files.
        """
        asked = validated(serializers.CreateBatch, request.data)
        name = batches.name_of(asked["name"])
        batch = batches.create(request.user, name, checkpoint=asked.get("checkpoint", ""))
        return located(_detail(batch), "api_batch", batch.pk, 201)


class BatchView(ApiView):
    @operation("get_batch", {200: serializers.BatchDetail})
    def get(self, request: Request, pk: UUID) -> Response:
        """Get a batch."""
        return Response(_detail(one_batch(request, pk)).data)

    @operation("delete_batch", {204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Delete a batch.

        Permanently deletes the batch and every clip that was uploaded through it, with analyses
        and files. Clips that another batch contains move to that batch, and duplicates of earlier
        uploads stay. If the request is interrupted, repeat it.
        """
        deletion.delete_batch(one_batch(request, pk))
        return Response(status=204)


class BatchFilesView(ApiView):
    # Not counted against the upload limit: single clips have priority, so that a folder of
    # thousands does not delay them.
    parser_classes = (MultiPartParser,)

    @operation(
        "add_file",
        {200: serializers.AddedFile, 202: serializers.AddedFile},
        note=f"A batch holds up to {batches.MAX_FILES:,} files. 409: the batch is full, closed or "
        "cancelled.",
        body={"multipart/form-data": serializers.AddFile},
        parameters=(
            header("Location", "URL of the analysis, unless the file was refused.", (200, 202)),
        ),
        errors=(409, 507),
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Add a file to a batch.

        202: the file is queued for analysis. 200: the batch already has this file at this path,
        you uploaded the same bytes before, or the file is refused; see `outcome` and `known`.
        Adding a file again changes nothing, so after a lost connection you can send all files
        again. Other bytes at a path of the batch return 400, `path_used`, unless the file there was
        refused: then they replace it.
        """
        batch = one_batch(request, pk)
        uploads.one_file(request.FILES)
        sent = validated(serializers.AddFile, request.data)
        path = sent.get("path") or sent["file"].name
        known = batch.files.filter(path=path).exclude(outcome=FileOutcome.REFUSED).exists()
        file = batches.add_file(batch, path, sent["file"].chunks())
        new = not known and file.outcome == FileOutcome.ACCEPTED
        answer = serializers.AddedFile(batch_files.sent_file(file, known=known))
        response = Response(answer.data, status=202 if new else 200)
        if file.analysis_id:
            response["Location"] = reverse("api_analysis", args=[file.analysis_id])
        return response


class BatchFoldersView(ApiView):
    @operation("list_folders", {200: serializers.BatchFolders}, parameters=(FolderFilters,))
    def get(self, request: Request, pk: UUID) -> Response:
        """List the folders of a batch.

        The folders directly inside `parent`, or the outermost ones, each with the totals and the
        most frequent classes of everything inside it.
        """
        asked = FolderFilters.lookups(request)
        found = batch_summary.folders(one_batch(request, pk), asked.get("parent", ""))
        left = [one for one in found if one.path > asked.get("after", "")]
        shown = left[: asked.get("limit", PAGE_ROWS)]
        rows = [batch_files.folder(one) for one in shown]
        answer = {"folders": rows, "more": len(left) - len(shown)}
        return Response(serializers.BatchFolders(answer).data)


class BatchCloseView(ApiView):
    @operation("close_batch", {200: serializers.BatchDetail})
    def post(self, request: Request, pk: UUID) -> Response:
        """Close a batch.

        The batch accepts no more files. Queued files are still analysed. Closing a closed batch
        changes nothing.
        """
        batch = one_batch(request, pk)
        batches.close(batch)
        return Response(_detail(batch).data)


class BatchCancelView(ApiView):
    @operation("cancel_batch", {200: serializers.CancelledBatch})
    def post(self, request: Request, pk: UUID) -> Response:
        """Cancel a batch.

        Closes the batch and cancels its queued files. Running analyses finish, and finished
        analyses stay.
        """
        batch = one_batch(request, pk)
        now = {"cancelled_now": batches.cancel(batch)}
        return Response(serializers.CancelledBatch(batch_files.detail(batch) | now).data)


class BatchRetryView(ApiView):
    working_methods = ("POST",)

    @operation(
        "retry_batch",
        {200: serializers.RetriedBatch},
        note=f"The codes are {', '.join(f'`{code}`' for code in sorted(RETRYABLE))}.",
        errors=(409,),
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Retry failed files.

        Queues a new analysis of each failed file whose failure was not due to the file, by its
        error code; the others would fail again. Refused files are not stored: send them in a new
        batch. 409: the batch is cancelled.
        """
        batch = one_batch(request, pk)
        now = {"retried_now": batches.retry_failed(batch)}
        return Response(serializers.RetriedBatch(batch_files.detail(batch) | now).data)


class BatchCsvView(ApiView):
    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Ignore the Accept header: the response is CSV, errors are JSON."""
        return super().perform_content_negotiation(request, force=True)

    @operation(
        "export_batch_csv",
        {(200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, examples=[CSV_EXAMPLE])},
        note=f"Columns: {', '.join(batch_files.COLUMNS)}.",
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        """Export a batch as CSV.

        One row per file, sorted by path, streamed. UTF-8 with a header row. Durations are in
        seconds, probabilities range from 0 to 1. Text that a spreadsheet would evaluate as a
        formula is prefixed with an apostrophe.
        """
        return batch_files.as_csv(one_batch(request, pk))


class BatchJsonView(ApiView):
    @operation("export_batch_json", {200: serializers.BatchExport})
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        """Export a batch as JSON.

        The batch and all its files, sorted by path, streamed.
        """
        return batch_files.as_json(one_batch(request, pk))


def _detail(batch: Batch) -> serializers.BatchDetail:
    return serializers.BatchDetail(batch_files.detail(batch))


def _summaries(page: list[Batch]) -> serializers.BatchSummary:
    totals = batches.totals_of(page)
    rows = [batch_files.summary(batch, totals[batch.pk]) for batch in page]
    return serializers.BatchSummary(rows, many=True)


def one_batch(request: Request, pk: UUID) -> Batch:
    return get_object_or_404(Batch.objects.for_owner(request.user), pk=pk)
