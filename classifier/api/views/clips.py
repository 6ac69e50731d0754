"""Clips: upload, list, get, delete, analyse again."""

import re
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.filters import ClipFilters
from classifier.api.schema import LOCATION, header, operation
from classifier.api.serializers import clips as serializers
from classifier.api.serializers.base import CheckpointChoice, validated
from classifier.api.views.base import ApiView, located
from classifier.models import Analysis, Clip
from classifier.services import deletion, notes, recordings, uploads

KEY = re.compile(r"[!-~]{1,200}")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": r"^[!-~]{1,200}$"},
    OpenApiParameter.HEADER,
    description="A string of your choice: 1 to 200 printable ASCII characters without spaces. "
    "Send the same string whenever you repeat the request.",
)
REPLAYED = header("Idempotent-Replayed", "`true` if the key was used before.", (200, 202))


class ClipsView(ApiView):
    parser_classes = (MultiPartParser,)
    working_methods = ("POST",)

    @operation("list_clips", {200: serializers.ClipSummary(many=True)}, parameters=(ClipFilters,))
    def get(self, request: Request) -> Response:
        """List your clips.

        Newest first. Filters are combined; unknown filters are rejected.
        """
        condition, batch = ClipFilters.of(request), ClipFilters.batch_of(request)
        folder = ClipFilters.lookups(request).get("in_folder", "")
        rows = Clip.objects.for_owner(request.user, batch).in_folder(folder, batch)
        if tag := ClipFilters.tag_of(request):
            rows = rows.filter(tags=tag)
        rows = rows.filter(condition).prefetch_related("tags")
        return self.page(rows, lambda page: serializers.ClipSummary(page, many=True))

    @operation(
        "upload_clip",
        {200: serializers.AcceptedUpload, 202: serializers.AcceptedUpload},
        body={"multipart/form-data": serializers.UploadClip},
        parameters=(serializers.UploadQuery, IDEMPOTENCY_KEY, LOCATION, REPLAYED),
        errors=(409, 507),
    )
    def post(self, request: Request) -> Response:
        """Upload a sound for analysis.

        202: the analysis is queued. 200: you had already uploaded the same bytes, and the response
        is the earlier analysis by the requested checkpoint; `?again=true` requests a new one. With
        an `Idempotency-Key` you can safely repeat a request: the same key and bytes return the same
        analysis as long as it exists, with `Idempotent-Replayed: true`. The same key with other
        bytes or another checkpoint returns 409.
        """
        again = validated(serializers.UploadQuery, request.query_params.dict())["again"]
        if "checkpoint" in request.query_params:
            raise ValidationError(
                {"checkpoint": "Send this value as a form field, not in the URL."}
            )
        key = _idempotency_key(request)
        uploads.one_file(request.FILES)
        form = validated(serializers.UploadClip, request.data)
        file = form["file"]
        answer = uploads.accept_once(
            file.chunks(),
            name=file.name,
            owner=request.user,
            key=key,
            again=again,
            checkpoint=form.get("checkpoint", ""),
        )
        response = located(
            serializers.AcceptedUpload(answer),
            "api_analysis",
            answer.analysis.pk,
            200 if answer.duplicate else 202,
        )
        if answer.replayed:
            response["Idempotent-Replayed"] = "true"
        return response


class ClipView(ApiView):
    @operation("get_clip", {200: serializers.ClipDetail})
    def get(self, request: Request, pk: UUID) -> Response:
        """Get a clip."""
        return _detail(request, one_clip(request, pk))

    @operation("update_clip", {200: serializers.ClipDetail}, body=serializers.ClipChanges)
    def patch(self, request: Request, pk: UUID) -> Response:
        """Set when the recording starts, its tags or its note."""
        clip = one_clip(request, pk)
        changes = validated(serializers.ClipChanges, request.data)
        with transaction.atomic():
            if "recorded_at" in changes:
                recordings.set_start(clip, changes["recorded_at"] or "")
            if "tags" in changes:
                notes.set_tags(clip, changes["tags"])
            if "note" in changes:
                notes.set_note(clip, changes["note"])
        return _detail(request, clip)

    @operation("delete_clip", {204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Delete a clip.

        Permanently deletes the clip with all its analyses and files.
        """
        deletion.delete_clip(one_clip(request, pk))
        return Response(status=204)


class ClipAnalysesView(ApiView):
    working_methods = ("POST",)

    @operation(
        "analyse_again",
        {202: serializers.AcceptedUpload},
        body=CheckpointChoice,
        parameters=(LOCATION,),
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Analyse a clip again.

        If an analysis by the same checkpoint is queued or running, it is returned instead.
        """
        clip = one_clip(request, pk)
        asked = validated(CheckpointChoice, request.data).get("checkpoint", "")
        analysis = uploads.analyse_again(clip, checkpoint=asked)
        answer = uploads.Accepted(analysis, duplicate=False, replayed=False)
        return located(serializers.AcceptedUpload(answer), "api_analysis", analysis.pk)


def _detail(request: Request, clip: Clip) -> Response:
    analyses = Analysis.objects.for_list(request.user).filter(clip=clip)
    latest = analyses[: serializers.ClipDetail.LATEST]
    return Response(serializers.ClipDetail(clip, context={"latest": latest}).data)


def _idempotency_key(request: Request) -> str:
    """Return the key, or "" without one. Raises ValidationError."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not KEY.fullmatch(key):
        raise ValidationError(
            {"Idempotency-Key": "Send 1 to 200 printable ASCII characters without spaces."}
        )
    return key or ""


def one_clip(request: Request, pk: UUID) -> Clip:
    return get_object_or_404(Clip.objects.for_owner(request.user), pk=pk)
