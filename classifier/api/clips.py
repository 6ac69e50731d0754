"""Clips: upload, list, look at, delete, analyse again."""

import re
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from django.http import Http404
from django.urls import reverse
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from classifier import uploads
from classifier.api.base import ApiView, accepted
from classifier.api.filters import ClipFilters
from classifier.api.paging import NewestFirst
from classifier.models import Analysis, Clip
from classifier.serializers import ClipDetail, ClipRow, UploadAnswer, UploadForm, UploadQuery

KEY = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """What an upload is accompanied by, beside its body."""

    key: str
    again: bool

    @classmethod
    def of(cls, request: Request) -> Self:
        """Raises ValidationError."""
        query = UploadQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        key = request.headers.get("Idempotency-Key", "")
        if "Idempotency-Key" in request.headers and not KEY.fullmatch(key):
            raise ValidationError(
                {"Idempotency-Key": "Send 1 to 200 printable ASCII characters without spaces."}
            )
        return cls(key, query.validated_data["again"])


class ClipsView(ApiView):
    parser_classes = (MultiPartParser,)
    working_methods = ("POST",)

    def get(self, request: Request) -> Response:
        rows = Clip.objects.for_owner(request.user).filter(**ClipFilters.of(request))
        pages = NewestFirst()
        page = pages.paginate_queryset(rows, request, self)
        return pages.get_paginated_response(ClipRow(page, many=True).data)

    def post(self, request: Request) -> Response:
        options = UploadOptions.of(request)
        form = UploadForm(data=request.data)
        form.is_valid(raise_exception=True)
        file = form.validated_data["file"]
        answer = uploads.accept_once(
            file.chunks(), name=file.name, owner=request.user, key=options.key, again=options.again
        )
        response = accepted(
            dict(UploadAnswer(answer).data),
            reverse("api_analysis", args=[answer.analysis.pk]),
            status.HTTP_200_OK if answer.duplicate else status.HTTP_202_ACCEPTED,
        )
        if answer.replayed:
            response["Idempotent-Replayed"] = "true"
        return response


class ClipView(ApiView):
    def get(self, request: Request, pk: UUID) -> Response:
        clip = one_clip(request, pk)
        latest = Analysis.objects.for_list(request.user).filter(clip=clip)[: ClipDetail.LATEST]
        return Response(ClipDetail(clip, context={"latest": latest}).data)

    def delete(self, request: Request, pk: UUID) -> Response:
        uploads.delete_clip(one_clip(request, pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ClipAnalysesView(ApiView):
    parser_classes = (JSONParser,)
    working_methods = ("POST",)

    def post(self, request: Request, pk: UUID) -> Response:
        analysis = uploads.analyse_again(one_clip(request, pk))
        answer = uploads.Accepted(analysis, duplicate=False, replayed=False)
        return accepted(
            dict(UploadAnswer(answer).data), reverse("api_analysis", args=[analysis.pk])
        )


def one_clip(request: Request, pk: UUID) -> Clip:
    clip = Clip.objects.for_owner(request.user).filter(pk=pk).first()
    if clip is None:
        raise Http404
    return clip
