"""Serve stored files over HTTP."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from classifier import storage
from classifier.models import Clip

AUDIO_TYPES = {
    "WAV": "audio/wav",
    "FLAC": "audio/flac",
    "OGG": "audio/ogg",
    "MP3": "audio/mpeg",
    "AIFF": "audio/aiff",
    "MP4": "audio/mp4",
    "AAC": "audio/aac",
    "WebM": "audio/webm",
    "WMA": "audio/x-ms-wma",
    "AMR": "audio/amr",
    "CAF": "audio/x-caf",
    "W64": "audio/x-w64",
    "AU": "audio/basic",
    "WavPack": "audio/x-wavpack",
    "AC-3": "audio/ac3",
    "E-AC-3": "audio/eac3",
    "AVI": "video/x-msvideo",
    "MPEG-TS": "video/mp2t",
}
BLOCK_BYTES = 65_536
_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")


def audio(request: HttpRequest, clip: Clip) -> HttpResponseBase:
    """Return the uploaded bytes of a clip, or the requested range of them."""
    content_type = AUDIO_TYPES.get(clip.format, "application/octet-stream")
    return ranged(request, storage.clip_path(clip.file_key), content_type)


def ranged(request: HttpRequest, path: Path, content_type: str) -> HttpResponseBase:
    """Return a file, or the single byte range of it that was requested (RFC 9110, section 14).

    Raises
    ------
    Http404
        The file does not exist.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise Http404 from error
    size = path.stat().st_size
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if match and match[2] and int(match[2]) < int(match[1]):
        match = None  # an invalid range must be ignored
    span = _span(match, size) if match else (0, size - 1)
    if span is None:
        file.close()
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    first, last = span
    status, headers = 200, {"Accept-Ranges": "bytes", "Content-Length": str(last - first + 1)}
    if match:
        status, headers["Content-Range"] = 206, f"bytes {first}-{last}/{size}"
    # Django closes the generator, and so the file, even if the client disconnects early.
    pieces = _blocks(file, first, last)
    return StreamingHttpResponse(pieces, status=status, content_type=content_type, headers=headers)


def download(
    pieces: Iterator[bytes] | Iterator[str], content_type: str, name: str
) -> StreamingHttpResponse:
    """Return a response that a browser saves as a file, streamed in blocks."""
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    headers = {"Content-Disposition": disposition, "Cache-Control": "no-store"}
    return StreamingHttpResponse(_gathered(pieces), content_type=content_type, headers=headers)


def _gathered(pieces: Iterator[bytes] | Iterator[str]) -> Iterator[bytes]:
    """Join pieces, which may be single lines, to blocks that are worth sending."""
    held = bytearray()
    for piece in pieces:
        held += piece.encode() if isinstance(piece, str) else piece
        if len(held) >= BLOCK_BYTES:
            yield bytes(held)
            held.clear()
    yield bytes(held)


def _span(match: re.Match[str], size: int) -> tuple[int, int] | None:
    """Return the first and last byte of the range, or None if it lies outside the file."""
    first, last, length = match.groups()
    if length is not None:
        return (max(0, size - int(length)), size - 1) if int(length) and size else None
    start, end = int(first), min(int(last or size - 1), size - 1)
    return (start, end) if start <= end else None


def _blocks(file: IO[bytes], first: int, last: int) -> Iterator[bytes]:
    with file:
        file.seek(first)
        left = last - first + 1
        while left > 0 and (block := file.read(min(BLOCK_BYTES, left))):
            left -= len(block)
            yield block
