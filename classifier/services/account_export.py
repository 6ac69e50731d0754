"""Export all data of one user as a ZIP: rows as JSON lines, and every file.

The ZIP is streamed, so that ten gigabytes take as much memory as ten files.
"""

import io
import json
import zipfile
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet

from classifier import storage
from classifier.models import Analysis, ApiToken, Batch, BatchFile, Clip, Inspection, Owner

# Rows are read in pages: an open cursor would occupy the database during the whole download.
ROWS_AT_ONCE = 200
BLOCK_BYTES = 1_000_000
CLIP = ("id", "name", "size_bytes", "sha256", "created_at", "format", "duration_s")
FOUND_IN_CLIP = ("source_rate_hz", "channels", "notices", "recorded_at", "recorded_from")
ANALYSIS = ("id", "clip", "state", "created_at", "started_at", "finished_at", "checkpoint")
RESULT = ("label", "confidence", "second_label", "not_sure", "predictions", "embedding")
DETAILS = ("render_metadata", "timings")
ERROR = ("error_code", "error_detail", "error_hint")
BATCH = ("id", "name", "source", "checkpoint", "created_at", "closed_at", "cancelled_at")
BATCH_FILE = ("batch", "path", "outcome", "analysis", "code", "detail", "hint")
INSPECTION = ("id", "analysis", "kind", "window", "label", "map", "state", "figures", "created_at")
README = """\
All data that this Sonoscope server stores about {name}.

account.json        your account and your API tokens (their secrets are not stored)
clips.jsonl         your clips, one per line; clips/ contains their files, by id
analyses.jsonl      your analyses; analyses/ contains the pictures and feature maps of each, by id
                    (embedding: 512 float16 numbers in base64)
batches.jsonl       your batches; batch_files.jsonl contains the outcome of each file
inspections.jsonl   your inspections; inspections/ contains their pictures and sounds, by id
"""


def of(user: Owner) -> Iterator[bytes]:
    """Yield the ZIP in pieces."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for _ in _filled(archive, user):
            yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """A write buffer for the archive; `taken` returns and clears what was written."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: Any) -> int:
        self.written += data
        return len(data)

    def taken(self) -> bytes:
        data = bytes(self.written)
        self.written.clear()
        return data


def _filled(archive: zipfile.ZipFile, user: Owner) -> Iterator[None]:
    """Write the archive; yield after every piece."""
    archive.writestr("README.txt", README.format(name=user.get_username()))
    archive.writestr("account.json", _line(account(user)))
    yield
    clips, analyses = Clip.objects.filter(owner=user.pk), Analysis.objects.filter(owner=user.pk)
    inspections = Inspection.objects.filter(analysis__owner=user.pk)
    batch_files = BatchFile.objects.filter(batch__owner=user.pk)
    yield from _table(archive, "clips", clips, CLIP + FOUND_IN_CLIP)
    yield from _table(archive, "analyses", analyses, ANALYSIS + RESULT + DETAILS + ERROR)
    yield from _table(archive, "batches", Batch.objects.filter(owner=user.pk), BATCH)
    yield from _table(archive, "batch_files", batch_files, BATCH_FILE)
    yield from _table(archive, "inspections", inspections, INSPECTION + ERROR)
    for row in _rows(clips, ("file_key", "format")):
        name = f"clips/{row['pk']}.{row['format'].lower() or 'bin'}"
        yield from _file(archive, name, storage.clip_path(row["file_key"]))
    for kind, rows, folder in (
        ("analyses", analyses, storage.analysis_folder),
        ("inspections", inspections, storage.inspection_folder),
    ):
        for row in _rows(rows.exclude(token=""), ("token",)):
            made = folder(row["pk"], row["token"])
            for path in sorted(made.iterdir()) if made.is_dir() else ():
                yield from _file(archive, f"{kind}/{row['pk']}/{path.name}", path)


def account(user: Owner) -> dict[str, Any]:
    assert isinstance(user, User)
    tokens = ApiToken.objects.filter(user=user)
    return {
        "username": user.get_username(),
        "email": user.email,
        "joined": user.date_joined,
        "last_signed_in": user.last_login,
        "tokens": list(tokens.values("name", "created", "expiry", "last_used_at")),
    }


def _table(
    archive: zipfile.ZipFile, name: str, rows: QuerySet[Any], columns: Sequence[str]
) -> Iterator[None]:
    info = zipfile.ZipInfo(f"{name}.jsonl")
    info.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(info, "w", force_zip64=True) as file:
        for row in _rows(rows, columns):
            file.write(_line({column: row[column] for column in columns}))
            yield


def _file(archive: zipfile.ZipFile, name: str, path: Path) -> Iterator[None]:
    try:
        source = path.open("rb")
    except FileNotFoundError:
        return  # it was deleted after its row was read
    with source, archive.open(name, "w", force_zip64=True) as file:
        while block := source.read(BLOCK_BYTES):
            file.write(block)
            yield


def _rows(rows: QuerySet[Any], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    rows = rows.order_by("pk").values("pk", *columns)
    page = list(rows[:ROWS_AT_ONCE])
    while page:
        yield from page
        page = list(rows.filter(pk__gt=page[-1]["pk"])[:ROWS_AT_ONCE])


def _line(row: dict[str, Any]) -> bytes:
    """Return a line of JSON; bytes are in base64."""
    row = {
        name: b64encode(value).decode() if isinstance(value, bytes | memoryview) else value
        for name, value in row.items()
    }
    return (json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False) + "\n").encode()
