"""Clips: upload, list, look at, delete, analyse again."""

import re
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.filters import ClipFilters
from classifier.api.schema import LOCATION, header, operation
from classifier.api.serializers import clips as serializers
from classifier.api.serializers.base import Asked, validated
from classifier.api.views.base import ApiView, located
from classifier.models import Analysis, Clip
from classifier.services import deletion, uploads

KEY = re.compile(r"[!-~]{1,200}")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": r"^[!-~]{1,200}$"},
    OpenApiParameter.HEADER,
    description="Any text of your own, the same when you repeat the request: "
    "1 to 200 printable ASCII characters.",
)
REPLAYED = header("Idempotent-Replayed", "`true` when the key was answered before.", (200, 202))


class ClipsView(ApiView):
    parser_classes = (MultiPartParser,)
    working_methods = ("POST",)

    @operation("list_clips", {200: serializers.ClipRow(many=True)}, parameters=(ClipFilters,))
    def get(self, request: Request) -> Response:
        """List your clips.

        Newest first. Filters are combined; one that is not understood is refused.
        """
        condition, batch = ClipFilters.of(request), ClipFilters.batch_of(request)
        rows = Clip.objects.for_owner(request.user, batch).filter(condition)
        return self.page(rows, lambda page: serializers.ClipRow(page, many=True))

    @operation(
        "upload_clip",
        {200: serializers.UploadAnswer, 202: serializers.UploadAnswer},
        body={"multipart/form-data": serializers.UploadForm},
        parameters=(serializers.UploadQuery, IDEMPOTENCY_KEY, LOCATION, REPLAYED),
        refusals=(409, 507),
    )
    def post(self, request: Request) -> Response:
        """Upload a sound and have it analysed.

        202: the analysis waits for a worker. 200: these bytes are known to you, and this is the
        earlier analysis of them by the checkpoint asked for; `?again=true` asks for a new one. With
        an `Idempotency-Key` a request can be repeated safely: the same key and bytes get the same
        answer for as long as its analysis exists, with `Idempotent-Replayed: true`; the same key
        with other bytes, or another named checkpoint, gets 409.
        """
        again = validated(serializers.UploadQuery, request.query_params.dict())["again"]
        if "checkpoint" in request.query_params:
            raise ValidationError({"checkpoint": "Send it as a field of the form, like the file."})
        key = _idempotency_key(request)
        form = validated(serializers.UploadForm, request.data)
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
            serializers.UploadAnswer(answer),
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
        """Look at a clip."""
        clip = one_clip(request, pk)
        latest = Analysis.objects.for_list(request.user).filter(clip=clip)[
            : serializers.ClipDetail.LATEST
        ]
        return Response(serializers.ClipDetail(clip, context={"latest": latest}).data)

    @operation("delete_clip", {204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Delete a clip.

        With all its analyses and files, for good.
        """
        deletion.delete_clip(one_clip(request, pk))
        return Response(status=204)


class ClipAnalysesView(ApiView):
    parser_classes = (JSONParser,)
    working_methods = ("POST",)

    @operation("analyse_again", {202: serializers.UploadAnswer}, body=Asked, parameters=(LOCATION,))
    def post(self, request: Request, pk: UUID) -> Response:
        """Analyse a clip again.

        One by the same checkpoint that is already under way is answered instead of a second one.
        """
        clip = one_clip(request, pk)
        asked = validated(Asked, request.data).get("checkpoint", "")
        analysis = uploads.analyse_again(clip, checkpoint=asked)
        answer = uploads.Accepted(analysis, duplicate=False, replayed=False)
        return located(serializers.UploadAnswer(answer), "api_analysis", analysis.pk)


def _idempotency_key(request: Request) -> str:
    """The key, or "" without one. Raises ValidationError."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not KEY.fullmatch(key):
        raise ValidationError(
            {"Idempotency-Key": "Send 1 to 200 printable ASCII characters without spaces."}
        )
    return key or ""


def one_clip(request: Request, pk: UUID) -> Clip:
    return get_object_or_404(Clip.objects.for_owner(request.user), pk=pk)
