"""For clients of the original: a sound as base64 in, everything about it in one answer.

It goes the way of every clip, through the queue; this only waits for it, and puts the numbers
back together from what the worker keeps: pictures of 256 shades, and the waveform's peaks.
"""

import json
import threading
import time
from typing import Any
from uuid import UUID

from django.conf import settings
from django.shortcuts import get_object_or_404
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from classifier import storage
from classifier.api.schema import header, operation
from classifier.api.serializers.base import validated
from classifier.api.serializers.classify import ClassifyAnswer, ClassifyForm
from classifier.api.serializers.clips import UploadAnswer
from classifier.api.views.base import ApiView, located
from classifier.models import UNFINISHED, Analysis, State
from classifier.services import uploads
from classifier.services.problems import RequestRefused, refusal
from ml import map_archive
from ml.errors import AudioError
from ml.legacy_response import answer, sound_of

NAME = "classify"
LOOK_EVERY_S = 0.1
# Of a web process' eight threads at most this many wait; the others keep answering.
MAX_WAITING = 4
# What goes wrong here and not in the file.
OUR_FAULTS = {"crashed", "file_missing", "inference_unavailable", "checkpoint_missing"}

_waiting = threading.BoundedSemaphore(MAX_WAITING)


class ClassifyView(ApiView):
    parser_classes = (JSONParser,)
    working_methods = ("POST",)

    @operation(
        "classify",
        {200: ClassifyAnswer, 202: UploadAnswer},
        tag="compatibility",
        body=ClassifyForm,
        parameters=(header("Location", "Address of the analysis.", (202,)),),
        refusals=(404, 409, 500, 507),
    )
    def post(self, request: Request) -> Response:
        """Classify in one request.

        The original's request and answer, for clients written against it. The sound goes through
        the same queue as every clip, and into your history. Should it take longer than the server
        waits, or too many wait already, the answer is 202 with `Location`. Values are read back
        from 256 shades: right to 1/255 of each map's range, the spectrogram to 80/255 dB above its
        floor, 80 dB below the loudest cell. The waveform is the lowest and highest sample of up to
        1,000 equal parts, in turn. Bytes known to be heard before get that result.
        """
        sound = _decoded(validated(ClassifyForm, request.data)["audio_data"])
        known = uploads.accept_once([sound], name=NAME, owner=request.user)
        analysis = _waited_for(known.analysis.pk)
        if analysis.unfinished:
            return located(UploadAnswer(known), "api_analysis", analysis.pk)
        return Response(_answer(analysis))


def _decoded(audio_data: str) -> bytes:
    try:
        return sound_of(audio_data)
    except AudioError as error:
        raise RequestRefused(error.problem) from error


def _waited_for(pk: UUID) -> Analysis:
    """The analysis when it has ended, or as it is when waiting has. Raises Http404 once deleted."""
    unfinished = Analysis.objects.filter(pk=pk, state__in=UNFINISHED)
    ends = time.monotonic() + settings.CLASSIFY_WAIT_S
    if _waiting.acquire(blocking=False):
        try:
            while time.monotonic() < ends and unfinished.exists():
                time.sleep(LOOK_EVERY_S)
        finally:
            _waiting.release()
    return get_object_or_404(Analysis.objects.select_related("clip"), pk=pk)


def _answer(analysis: Analysis) -> dict[str, Any]:
    """Raises RequestRefused when there is none."""
    if analysis.state == State.CANCELLED:
        raise refusal("cancelled", "It was cancelled.", "Send it once more.", status=409)
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
