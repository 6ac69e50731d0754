"""Export all data of one user as a ZIP: rows as JSON lines, and every file.

The ZIP is streamed, so that ten gigabytes take as much memory as ten files.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import F, Q, QuerySet

from classifier import storage
from classifier.models import (
    Analysis,
    ApiToken,
    Batch,
    BatchFile,
    Clip,
    Event,
    Inspection,
    Judgement,
    Owner,
    SavedFilter,
    ShareLink,
    Tag,
)
from classifier.services.exports.zip_stream import Member, stored, zip_of

# Rows are read in pages: an open cursor would occupy the database during the whole download.
ROWS_AT_ONCE = 200
BLOCK_BYTES = 1_000_000
CLIP = (
    "id",
    "name",
    "folder",
    "note",
    "size_bytes",
    "sha256",
    "created_at",
    "format",
    "duration_s",
)
FOUND_IN_CLIP = ("source_rate_hz", "channels", "notices", "recorded_at", "recorded_from")
ANALYSIS = ("id", "clip", "state", "created_at", "started_at", "finished_at", "checkpoint")
RESULT = ("label", "confidence", "second_label", "not_sure", "predictions", "embedding")
DETAILS = ("event_count", "render_metadata", "timings")
EVENT = ("id", "analysis", "label", "start_s", "end_s", "confidence", "peak_s", "low_hz", "high_hz")
JUDGEMENT = ("clip", "event", "label", "checkpoint", "username", "created_at")
ERROR = ("error_code", "error_detail", "error_hint")
BATCH = ("id", "name", "source", "checkpoint", "created_at", "closed_at", "cancelled_at")
OF_BATCH = ("finished_at", "notice", "mail", "left_out")
BATCH_FILE = ("batch", "path", "outcome", "analysis", "code", "detail", "hint")
INSPECTION = ("id", "analysis", "kind", "window", "label", "map", "state", "figures", "created_at")
SHARE = ("token", "analysis", "created_at", "expires_at")
README = """\
All data that this Sonoscope server stores about {name}.

account.json        your account and your API tokens (their secrets are not stored)
clips.jsonl         your clips, one per line; clips/ contains their files, by id
tags.jsonl          your tags; clip_tags.jsonl contains which clip has which
saved_filters.jsonl the filters of the history that you saved
analyses.jsonl      your analyses; analyses/ contains the pictures and feature maps of each, by id
                    (embedding: 512 float16 numbers in base64)
events.jsonl        the events of your analyses
judgements.jsonl    what you said that your clips and events are, by the id of either
batches.jsonl       your batches; batch_files.jsonl contains the outcome of each file
shares.jsonl        your share links
inspections.jsonl   your inspections; inspections/ contains their pictures and sounds, by id
"""


def of(user: Owner) -> Iterator[bytes]:
    """Yield the ZIP in pieces."""
    return zip_of(_members(user))


def _members(user: Owner) -> Iterator[Member]:
    yield Member("README.txt", [README.format(name=user.get_username()).encode()], compress=False)
    yield Member("account.json", [_line(account(user))], compress=False)
    clips, analyses = Clip.objects.filter(owner=user.pk), Analysis.objects.filter(owner=user.pk)
    events = Event.objects.filter(analysis__owner=user.pk)
    judged = Q(clip__owner=user.pk) | Q(event__analysis__owner=user.pk)
    inspections = Inspection.objects.filter(analysis__owner=user.pk)
    batch_files = BatchFile.objects.filter(batch__owner=user.pk)
    yield _table("clips", clips, CLIP + FOUND_IN_CLIP)
    yield _table("tags", Tag.objects.filter(owner=user.pk), ("id", "name"))
    tagged = Clip.tags.through.objects.filter(clip__owner=user.pk)
    yield _table("clip_tags", tagged, ("clip", "tag"))
    saved = SavedFilter.objects.filter(owner=user.pk)
    yield _table("saved_filters", saved, ("name", "query"))
    yield _table("analyses", analyses, ANALYSIS + RESULT + DETAILS + ERROR)
    yield _table("events", events, EVENT)
    judgements = Judgement.objects.filter(judged).annotate(username=F("user__username"))
    yield _table("judgements", judgements, JUDGEMENT)
    yield _table("batches", Batch.objects.filter(owner=user.pk), BATCH + OF_BATCH)
    yield _table("batch_files", batch_files, BATCH_FILE)
    yield _table("shares", ShareLink.objects.filter(owner=user.pk), SHARE)
    yield _table("inspections", inspections, INSPECTION + ERROR)
    for row in _rows(clips, ("file_key", "format")):
        name = f"clips/{row['pk']}.{row['format'].lower() or 'bin'}"
        yield from stored(name, storage.clip_path(row["file_key"]))
    for kind, rows, folder in (
        ("analyses", analyses, storage.analysis_folder),
        ("inspections", inspections, storage.inspection_folder),
    ):
        for row in _rows(rows.exclude(token=""), ("token",)):
            made = folder(row["pk"], row["token"])
            for path in sorted(made.iterdir()) if made.is_dir() else ():
                yield from stored(f"{kind}/{row['pk']}/{path.name}", path)


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


def _table(name: str, rows: QuerySet[Any], columns: Sequence[str]) -> Member:
    lines = (_line({column: row[column] for column in columns}) for row in _rows(rows, columns))
    return Member(f"{name}.jsonl", lines)


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
