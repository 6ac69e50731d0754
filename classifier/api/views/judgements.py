"""Judgements: say what a clip or an event is, and read how often the answers agree with it."""

from uuid import UUID

from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.api.schema import operation
from classifier.api.serializers.base import validated
from classifier.api.serializers.judgements import Judge, Judgement, PrecisionList, judgement_json
from classifier.api.views.analyses import one_analysis
from classifier.api.views.base import ApiView
from classifier.api.views.events import ExportView
from classifier.models import Event
from classifier.services import judgements
from classifier.services.exports import judged_sounds
from classifier.services.exports.zip_stream import zip_of
from classifier.services.file_responses import download
from classifier.services.problems import refusal


class AnalysisJudgementView(ApiView):
    @operation("judge_clip", {200: Judgement}, tag="judgements", body=Judge, errors=(409,))
    def put(self, request: Request, pk: UUID) -> Response:
        """Say what a clip is.

        Of the clip as a whole, with a class of the analysis's checkpoint. It also applies to the
        clip's other analyses, and replaces what was said before. 409: the analysis is not done.
        """
        analysis = one_analysis(request, pk)
        label = validated(Judge, request.data)["label"]
        analysis.clip.judgement = judgements.judge_clip(analysis, label or "", request.user)
        return Response(judgement_json(analysis))

    @operation("remove_judgement", {204: None}, tag="judgements")
    def delete(self, request: Request, pk: UUID) -> Response:
        """Remove what was said of a clip."""
        judgements.remove(one_analysis(request, pk).clip)
        return Response(status=204)


class EventJudgementView(ApiView):
    @operation("judge_event", {200: Judgement}, tag="judgements", body=Judge)
    def put(self, request: Request, pk: int) -> Response:
        """Say what an event is.

        With a class of the checkpoint that found it. Replaces what was said before.
        """
        event = _one_event(request, pk)
        label = validated(Judge, request.data)["label"]
        event.judgement = judgements.judge_event(event, label or "", request.user)
        return Response(judgement_json(event))

    @operation("remove_event_judgement", {204: None}, tag="judgements")
    def delete(self, request: Request, pk: int) -> Response:
        """Remove what was said of an event."""
        judgements.remove(_one_event(request, pk))
        return Response(status=204)


class PrecisionView(ApiView):
    @operation("get_precision", {200: PrecisionList})
    def get(self, request: Request) -> Response:
        """Get the precision of each class.

        Of your judged sounds: how many answers with this class were right, by checkpoint.
        """
        found = judgements.precision(request.user)
        return Response(PrecisionList({"results": found}).data)


class SoundsView(ExportView):
    @operation(
        "export_judged_sounds",
        {(200, "application/zip"): OpenApiTypes.BINARY},
        errors=(409,),
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Export your judged sounds as a data set.

        A ZIP that `python -m training.prepare` reads; see docs/training.md. 409: no sound has been
        judged to be of a class.
        """
        if not judged_sounds.exist(request.user):
            raise refusal(
                "nothing_judged",
                "There is no sound whose class you checked.",
                "Say of a sound what it is, then export again.",
                status=409,
            )
        pieces = zip_of(judged_sounds.members(request.user))
        return download(pieces, "application/zip", "checked-sounds.zip")


def _one_event(request: Request, pk: int) -> Event:
    return get_object_or_404(
        Event.objects.for_owner(request.user).select_related("analysis"), pk=pk
    )
