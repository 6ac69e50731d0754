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
from classifier.models import Analysis, Clip, Inspection, InspectionKind, State
from classifier.services import inspections
from classifier.services.file_responses import AUDIO_TYPES, audio, ranged
from classifier.services.tokens import TokenAuthentication
from ml import map_archive
from ml.render_metadata import ArchiveIndex


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
    return _named(audio(request, clip), clip.name, download=clip.format not in AUDIO_TYPES)


@private
def analysis_audio(request: HttpRequest, user: AbstractBaseUser, pk: UUID) -> HttpResponseBase:
    """What a browser can play: the upload, or the worker's FLAC of it."""
    analysis = _done(user, pk)
    playable = analysis.folder / storage.PLAYABLE
    if playable.exists():
        return ranged(request, playable, "audio/flac")
    return audio(request, analysis.clip)


@private
def picture(request: HttpRequest, user: AbstractBaseUser, pk: UUID, name: str) -> HttpResponseBase:
    """spectrogram.png or strip.png."""
    return ranged(request, _done(user, pk).folder / name, "image/png")


@private
def peaks(request: HttpRequest, user: AbstractBaseUser, pk: UUID) -> HttpResponseBase:
    return ranged(request, _done(user, pk).folder / storage.PEAKS, "application/json")


@private
def map_picture(
    request: HttpRequest, user: AbstractBaseUser, pk: UUID, name: str
) -> HttpResponseBase:
    """Any picture of the analysis' pack; `map_archive.picture` says which names there are."""
    return _map(_done(user, pk).folder, name)


@private
def map_pack(request: HttpRequest, user: AbstractBaseUser, pk: UUID) -> HttpResponseBase:
    """All pictures and their index as one ZIP."""
    analysis = _done(user, pk)
    if analysis.metadata is None:
        raise Http404
    response = _archive(analysis.folder, analysis.metadata.index)
    return _named(response, f"{Path(analysis.clip.name).stem}-maps.zip")


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
    folder, suffix = inspection.folder, Path(name).suffix
    if name == storage.MAPS:
        response = _archive(folder, ArchiveIndex.from_json(inspection.figures))
    else:
        response = ranged(request, folder / name, INSPECTION_TYPES[suffix])
    if suffix not in (".npy", ".zip"):
        return response
    parts = (Path(inspection.analysis.clip.name).stem, inspection.map, name)
    return _named(response, "-".join(part for part in parts if part))


@private
def inspection_map(
    request: HttpRequest, user: AbstractBaseUser, pk: UUID, name: str
) -> HttpResponseBase:
    """Any picture in the pack of another window, by the names that an analysis' pack has."""
    return _map(_done_inspection(user, pk).folder, name)


def _named(response: HttpResponseBase, name: str, download: bool = True) -> HttpResponseBase:
    response["Content-Disposition"] = content_disposition_header(download, name) or ""
    return response


def _map(folder: Path, name: str) -> HttpResponse:
    png = map_archive.picture(folder / storage.MAPS, name)
    if png is None:
        raise Http404
    return HttpResponse(png, content_type="image/png")


def _archive(folder: Path, index: ArchiveIndex) -> HttpResponseBase:
    whole = map_archive.as_zip(folder / storage.MAPS, index)
    return HttpResponse(whole, content_type="application/zip")


def _done(user: AbstractBaseUser, pk: UUID) -> Analysis:
    return get_object_or_404(Analysis.objects.for_owner(user), pk=pk, state=State.DONE)


def _done_inspection(user: AbstractBaseUser, pk: UUID) -> Inspection:
    return get_object_or_404(Inspection.objects.for_owner(user), pk=pk, state=State.DONE)
