"""REST of batches. What one sends twice is known the second time; refusals as in `api`."""

from typing import Any
from uuid import UUID

from django.http import Http404
from django.http.response import HttpResponseBase
from django.urls import reverse
from rest_framework import serializers, status
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from classifier import batch_export, batches
from classifier.models import Batch, BatchFile, FileOutcome


class NewBatch(serializers.Serializer):
    name = serializers.CharField(max_length=255)


class FileForm(serializers.Serializer):
    # An empty file is a refused row, with its own sentence.
    file = serializers.FileField(allow_empty_file=True, max_length=None)
    path = serializers.CharField(required=False, trim_whitespace=False)


class NotYetDescribed(APIView):
    """Left out of the OpenAPI description until every field of it is described there."""

    schema = None


class BatchPages(CursorPagination):
    page_size = 50
    ordering = ("-created_at", "-id")


class BatchesView(NotYetDescribed):
    def get(self, request: Request) -> Response:
        pages = BatchPages()
        page = pages.paginate_queryset(Batch.objects.for_owner(request.user), request, view=self)
        totals = batches.totals_of(page or [])
        return pages.get_paginated_response(
            [batch_export.summary(batch, totals[batch.pk]) for batch in page or []]
        )

    def post(self, request: Request) -> Response:
        form = NewBatch(data=request.data)
        form.is_valid(raise_exception=True)
        batch = batches.create(request.user, form.validated_data["name"])
        address = reverse("api_batch", args=[batch.pk])
        return Response(_told(batch), status=status.HTTP_201_CREATED, headers={"Location": address})


class BatchView(NotYetDescribed):
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(_told(_own(request, pk)))


class BatchFilesView(NotYetDescribed):
    """One file and its path. 202: taken in; 200: known, a duplicate or refused, and so recorded."""

    parser_classes = (MultiPartParser,)

    def post(self, request: Request, pk: UUID) -> Response:
        batch = _own(request, pk)
        form = FileForm(data=request.data)
        form.is_valid(raise_exception=True)
        sent = form.validated_data["file"]
        path = batches.path_of(form.validated_data.get("path") or sent.name)
        known = batch.files.filter(path=path).first()
        file = known or batches.add_file(batch, path, sent.chunks())
        new = not known and file.outcome == FileOutcome.ACCEPTED
        code = status.HTTP_202_ACCEPTED if new else status.HTTP_200_OK
        return Response(file_told(file, known=known is not None), status=code)


class BatchCloseView(NotYetDescribed):
    def post(self, request: Request, pk: UUID) -> Response:
        batch = _own(request, pk)
        batches.close(batch)
        return Response(_told(batch))


class BatchCancelView(NotYetDescribed):
    def post(self, request: Request, pk: UUID) -> Response:
        batch = _own(request, pk)
        return Response({"cancelled_now": batches.cancel(batch), **_told(batch)})


class BatchRetryView(NotYetDescribed):
    def post(self, request: Request, pk: UUID) -> Response:
        batch = _own(request, pk)
        return Response({"retried_now": batches.retry_failed(batch), **_told(batch)})


class BatchCsvView(NotYetDescribed):
    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """It is CSV whatever the client would rather have; only refusals are JSON."""
        return super().perform_content_negotiation(request, force=True)

    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        return batch_export.as_csv(_own(request, pk))


class BatchJsonView(NotYetDescribed):
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        return batch_export.as_json(_own(request, pk))


def file_told(file: BatchFile, *, known: bool) -> dict[str, Any]:
    """What whoever sent a file is told of it."""
    return {
        "path": file.path,
        "outcome": file.outcome,
        "known": known,
        "analysis": str(file.analysis_id) if file.analysis_id else None,
        "error": file.error if file.outcome == FileOutcome.REFUSED else None,
    }


def _told(batch: Batch) -> dict[str, Any]:
    labels = [{"label": row.label, "count": row.count} for row in batches.labels(batch)]
    return batch_export.summary(batch, batches.totals(batch)) | {"labels": labels}


def _own(request: Request, pk: UUID) -> Batch:
    batch = Batch.objects.for_owner(request.user).filter(pk=pk).first()
    if batch is None:
        raise Http404
    return batch
