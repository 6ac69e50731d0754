"""For clients of the Audio CNN Visualizer: a base64 sound in, one complete response out.

The clip goes through the queue like every other. The view waits for it and rebuilds the numbers
from the files that the worker stores: images with 256 levels, and the waveform's peaks.
"""

import json
import threading
import time
from typing import Any
from uuid import UUID

from django.conf import settings
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from classifier import storage
from classifier.api.schema import header, operation
from classifier.api.serializers.base import validated
from classifier.api.serializers.classify import Classification, Classify
from classifier.api.serializers.clips import AcceptedUpload
from classifier.api.views.base import ApiView, located
from classifier.models import UNFINISHED, Analysis, State
from classifier.services import uploads
from classifier.services.problems import RequestRefused, refusal
from ml import map_archive
from ml.errors import AudioError
from ml.legacy_response import answer, sound_of

NAME = "classify"
POLL_EVERY_S = 0.1
# Of the eight threads of a web process at most this many wait.
MAX_WAITING = 4
# Codes of errors that the file does not cause.
OUR_FAULTS = {"crashed", "file_missing", "inference_unavailable", "checkpoint_missing"}

_waiting = threading.BoundedSemaphore(MAX_WAITING)


class ClassifyView(ApiView):
    working_methods = ("POST",)

    @operation(
        "classify",
        {200: Classification, 202: AcceptedUpload},
        tag="compatibility",
        body=Classify,
        parameters=(header("Location", "URL of the analysis.", (202,)),),
        errors=(404, 409, 500, 507),
    )
    def post(self, request: Request) -> Response:
        """Classify in one request.

        Request and response have the format of the Audio CNN Visualizer. The sound goes through
        the same queue as every clip and appears in your history. If the analysis takes longer
        than the server waits, or too many requests wait already, the response is 202 with
        `Location`. Values come from images with 256 levels: they are accurate to 1/255 of each
        map's range; the spectrogram to 80/255 dB, down to 80 dB below its maximum. The waveform
        is the alternating minimum and maximum of up to 1,000 equal segments. Bytes that you
        uploaded before return the earlier result.
        """
        sound = _decoded(validated(Classify, request.data)["audio_data"])
        known = uploads.accept_once([sound], name=NAME, owner=request.user)
        analysis = _waited_for(known.analysis.pk)
        if analysis.unfinished:
            return located(AcceptedUpload(known), "api_analysis", analysis.pk)
        return Response(_answer(analysis))


def _decoded(audio_data: str) -> bytes:
    try:
        return sound_of(audio_data)
    except AudioError as error:
        raise RequestRefused(error.problem) from error


def _waited_for(pk: UUID) -> Analysis:
    """Wait for the analysis to end, at most CLASSIFY_WAIT_S. Raises Http404 if it is deleted."""
    unfinished = Analysis.objects.filter(pk=pk, state__in=UNFINISHED)
    ends = time.monotonic() + settings.CLASSIFY_WAIT_S
    if _waiting.acquire(blocking=False):
        try:
            while time.monotonic() < ends and unfinished.exists():
                time.sleep(POLL_EVERY_S)
        finally:
            _waiting.release()
    return get_object_or_404(Analysis.objects.select_related("clip"), pk=pk)


def _answer(analysis: Analysis) -> dict[str, Any]:
    """Build the response. Raises RequestRefused if the analysis failed or was cancelled."""
    if analysis.state == State.CANCELLED:
        raise refusal(
            "cancelled", "The analysis was cancelled.", "Send the sound again.", status=409
        )
    if analysis.error:
        raise RequestRefused(analysis.error, 500 if analysis.error.code in OUR_FAULTS else 400)
    folder = analysis.folder
    metadata = analysis.metadata
    assert metadata is not None
    spectrogram = (folder / storage.SPECTROGRAM).read_bytes()
    return answer(
        analysis.predictions,
        map_archive.map_values(folder / storage.MAPS, metadata.index),
        map_archive.cells(spectrogram, metadata.low_db, metadata.high_db),
        json.loads((folder / storage.PEAKS).read_text()),
        analysis.clip.duration_s,
    )
