"""Private files: other users get 404, so they cannot learn that a file exists."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe
from rest_framework.exceptions import AuthenticationFailed

from classifier import storage
from classifier.models import Analysis, Inspection, InspectionKind, Owner, State
from classifier.services import inspections
from classifier.services.file_responses import AUDIO_TYPES, audio, ranged
from classifier.services.tokens import TokenAuthentication
from classifier.views.readers import Reader, holder_of
from ml import map_archive

FILE_TYPES = {
    ".flac": "audio/flac",
    ".json": "application/json",
    ".npy": "application/octet-stream",
    ".png": "image/png",
    ".zip": "application/zip",
}

# The sounds of an explanation, and what their downloads are called.
PARTS = {storage.KEPT: "part", storage.REST: "rest"}


def caller(request: HttpRequest) -> Owner:
    """Return the signed-in user, or the owner of the API token in the header.

    Raises
    ------
    Http404
        There is neither, or the token is invalid.
    """
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
    """Pass the reader to `view` as its second argument; allow only the browser's cache.

    The reader is the caller, or under a share link with `token` its holder.
    """

    @wraps(view)
    def guarded(
        request: HttpRequest, *args: object, token: str = "", **kwargs: object
    ) -> HttpResponseBase:
        reader = holder_of(token) if token else Reader(caller(request))
        response = view(request, reader, *args, **kwargs)
        response["Cache-Control"] = "private, max-age=3600"
        response["Vary"] = "Cookie, Authorization"
        response["X-Content-Type-Options"] = "nosniff"
        return response

    return require_safe(guarded)


@private
def clip_audio(request: HttpRequest, reader: Reader, clip_id: UUID) -> HttpResponseBase:
    """Return the uploaded bytes."""
    clip = get_object_or_404(reader.clips, pk=clip_id)
    return _named(audio(request, clip), clip.name, download=clip.format not in AUDIO_TYPES)


@private
def analysis_audio(request: HttpRequest, reader: Reader, pk: UUID) -> HttpResponseBase:
    """Return audio that a browser can play: the upload, or the worker's FLAC of it."""
    analysis = _analysis(reader, pk)
    if playable := playable_copy(analysis):
        return _file(request, playable)
    return audio(request, analysis.clip)


def playable_copy(analysis: Analysis) -> Path | None:
    """Return the worker's FLAC of an upload that browsers cannot play, or play differently."""
    path = analysis.folder / storage.PLAYABLE
    return path if path.exists() else None


@private
def analysis_file(request: HttpRequest, reader: Reader, pk: UUID, name: str) -> HttpResponseBase:
    """Return spectrogram.png, strip.png or peaks.json, also if it was stored early."""
    analysis = get_object_or_404(reader.analyses, pk=pk)
    if analysis.state != State.DONE and not analysis.early_pictures:
        raise Http404
    return _file(request, analysis.folder / name)


@private
def map_picture(request: HttpRequest, reader: Reader, pk: UUID, name: str) -> HttpResponseBase:
    """Return a picture from the map archive of an analysis.

    Parameters
    ----------
    name : str
        As `map_archive.picture` defines it.
    """
    return _picture(_analysis(reader, pk).folder / storage.MAPS, name)


@private
def inspection_picture(
    request: HttpRequest, reader: Reader, pk: UUID, name: str
) -> HttpResponseBase:
    """Return a picture from the archive of an inspection, like `map_picture`."""
    archive = inspections.archive(_inspection(reader, pk))
    if archive is None:
        raise Http404
    return _picture(archive.path, name)


@private
def map_pack(request: HttpRequest, reader: Reader, pk: UUID) -> HttpResponseBase:
    """Return all pictures and their index as one ZIP."""
    analysis = _analysis(reader, pk)
    if analysis.metadata is None:
        raise Http404
    whole = map_archive.as_zip(analysis.folder / storage.MAPS, analysis.metadata.index)
    response = HttpResponse(whole, content_type="application/zip")
    return _named(response, f"{Path(analysis.clip.name).stem}-maps.zip")


@private
def inspection_file(request: HttpRequest, reader: Reader, pk: UUID, name: str) -> HttpResponseBase:
    """Return one of the files that an inspection of its kind has."""
    inspection = _inspection(reader, pk)
    if name not in inspections.FILES[InspectionKind(inspection.kind)]:
        raise Http404
    archive = inspections.archive(inspection)
    response: HttpResponseBase
    if archive and name == archive.path.name:
        whole = map_archive.as_zip(archive.path, archive.index)
        response = HttpResponse(whole, content_type="application/zip")
    else:
        response = _file(request, inspection.folder / name)
    if name in PARTS:
        return _named(response, _part_name(inspection, name), download=False)
    if not name.endswith((".npy", ".zip")):
        return response
    parts = (Path(inspection.analysis.clip.name).stem, inspection.label, inspection.map, name)
    return _named(response, "-".join(part for part in parts if part))


def _part_name(inspection: Inspection, name: str) -> str:
    """Return the name of a downloaded part of a sound: dog_part_of_NAME.flac.

    A later window of a recording is told by its start.
    """
    part = f"refined_{PARTS[name]}" if inspection.kind == InspectionKind.REFINED else PARTS[name]
    stem, start_s = Path(inspection.analysis.clip.name).stem, inspection.figures["start_s"]
    place = f"_at_{start_s:g}s" if start_s else ""
    return f"{inspection.label}_{part}_of_{stem}{place}{Path(name).suffix}"


def _named(response: HttpResponseBase, name: str, download: bool = True) -> HttpResponseBase:
    response["Content-Disposition"] = content_disposition_header(download, name) or ""
    return response


def _file(request: HttpRequest, path: Path) -> HttpResponseBase:
    return ranged(request, path, FILE_TYPES[path.suffix])


def _picture(archive: Path, name: str) -> HttpResponseBase:
    png = map_archive.picture(archive, name)
    if png is None:
        raise Http404
    return HttpResponse(png, content_type="image/png")


def _analysis(reader: Reader, pk: UUID) -> Analysis:
    return get_object_or_404(reader.analyses, pk=pk, state=State.DONE)


def _inspection(reader: Reader, pk: UUID) -> Inspection:
    return get_object_or_404(reader.inspections, pk=pk, state=State.DONE)
