"""Private files: only their owner is told that they exist."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe
from rest_framework.exceptions import AuthenticationFailed

from classifier import storage
from classifier.models import Analysis, Clip, Inspection, InspectionKind, InspectionState, State
from classifier.services import inspections, map_archive
from classifier.services.file_responses import AUDIO_TYPES, audio, ranged
from classifier.services.tokens import TokenAuthentication


def caller(request: HttpRequest) -> AbstractBaseUser | AnonymousUser:
    """The signed-in person, or the owner of the API token in the header."""
    if request.user.is_authenticated:
        return request.user
    try:
        found = TokenAuthentication().authenticate(request)
    except AuthenticationFailed as error:
        raise Http404 from error
    if found is None:
        raise Http404
    return found[0]


def private(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """For its owner's browser cache only; `view` gets the caller as its second argument."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        response = view(request, caller(request), *args, **kwargs)
        response["Cache-Control"] = "private, max-age=3600"
        response["Vary"] = "Cookie, Authorization"
        response["X-Content-Type-Options"] = "nosniff"
        return response

    return require_safe(guarded)


@private
def clip_audio(request: HttpRequest, user: AbstractBaseUser, clip_id: UUID) -> HttpResponseBase:
    """The bytes as they were uploaded."""
    clip = get_object_or_404(Clip.objects.for_owner(user), pk=clip_id)
    response = audio(request, clip)
    playable = clip.format in AUDIO_TYPES
    response["Content-Disposition"] = content_disposition_header(not playable, clip.name) or ""
    return response


@private
def analysis_audio(request: HttpRequest, user: AbstractBaseUser, pk: UUID) -> HttpResponseBase:
    """What a browser can play: the upload, or the worker's FLAC of it."""
    analysis = _done(user, pk)
    playable = _folder(analysis) / storage.PLAYABLE
    if playable.exists():
        return ranged(request, playable, "audio/flac")
    return audio(request, analysis.clip)


@private
def picture(request: HttpRequest, user: AbstractBaseUser, pk: UUID, name: str) -> HttpResponseBase:
    """spectrogram.png or strip.png."""
    return ranged(request, _folder(_done(user, pk)) / name, "image/png")


@private
def peaks(request: HttpRequest, user: AbstractBaseUser, pk: UUID) -> HttpResponseBase:
    return ranged(request, _folder(_done(user, pk)) / storage.PEAKS, "application/json")


@private
def map_picture(
    request: HttpRequest, user: AbstractBaseUser, pk: UUID, name: str
) -> HttpResponseBase:
    """Any picture of the analysis' pack; `map_archive.picture` says which names there are."""
    analysis = _done(user, pk)
    png = map_archive.picture(_folder(analysis) / storage.MAPS, analysis.maps, name)
    if png is None:
        raise Http404
    return HttpResponse(png, content_type="image/png")


@private
def map_pack(request: HttpRequest, user: AbstractBaseUser, pk: UUID) -> HttpResponseBase:
    """All pictures and their index as one ZIP."""
    analysis = _done(user, pk)
    facts = analysis.render_metadata.get("activations", {})
    whole = map_archive.as_zip(_folder(analysis) / storage.MAPS, analysis.maps, facts)
    response = HttpResponse(whole, content_type="application/zip")
    name = f"{Path(analysis.clip.name).stem}-maps.zip"
    response["Content-Disposition"] = content_disposition_header(True, name) or ""
    return response


INSPECTION_TYPES = {
    ".flac": "audio/flac",
    ".png": "image/png",
    ".npy": "application/octet-stream",
}


@private
def inspection_file(
    request: HttpRequest, user: AbstractBaseUser, pk: UUID, name: str
) -> HttpResponseBase:
    """One of the files that a inspection of its kind has."""
    inspection = _done_inspection(user, pk)
    if name not in inspections.FILES[InspectionKind(inspection.kind)]:
        raise Http404
    path = inspections.folder_of(inspection) / name
    if name == storage.MAPS:
        whole = map_archive.as_zip(
            path, inspection.figures["maps"], inspection.figures["activations"]
        )
        response: HttpResponseBase = HttpResponse(whole, content_type="application/zip")
    else:
        response = ranged(request, path, INSPECTION_TYPES[path.suffix])
    if path.suffix in (".npy", ".zip"):
        parts = (Path(inspection.analysis.clip.name).stem, inspection.map, name)
        payload = "-".join(part for part in parts if part)
        response["Content-Disposition"] = content_disposition_header(True, payload) or ""
    return response


@private
def inspection_map(
    request: HttpRequest, user: AbstractBaseUser, pk: UUID, name: str
) -> HttpResponseBase:
    """Any picture in the pack of another window, by the names that an analysis' pack has."""
    inspection = _done_inspection(user, pk)
    pack = inspections.folder_of(inspection) / storage.MAPS
    png = map_archive.picture(pack, inspection.figures.get("maps", ()), name)
    if png is None:
        raise Http404
    return HttpResponse(png, content_type="image/png")


def _done(user: AbstractBaseUser, pk: UUID) -> Analysis:
    return get_object_or_404(Analysis.objects.for_owner(user), pk=pk, state=State.DONE)


def _done_inspection(user: AbstractBaseUser, pk: UUID) -> Inspection:
    return get_object_or_404(Inspection.objects.for_owner(user), pk=pk, state=InspectionState.DONE)


def _folder(analysis: Analysis) -> Path:
    return storage.analysis_folder(analysis.pk, analysis.token)
