"""A batch in plain values, for page, API and export.

CSV and JSON go out line by line: as much memory for ten files as for ten thousand.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from django.http import StreamingHttpResponse

from classifier.models import Batch, BatchFile, FileOutcome, State
from classifier.services import batches
from classifier.services.dispatch import missing_worker
from classifier.services.exports.csv_lines import csv_lines

COLUMNS = (
    "path",
    "outcome",
    "state",
    "label",
    "confidence",
    "top_five",
    "duration_s",
    "checkpoint",
    "error_code",
    "error_detail",
    "error_hint",
    "analysis",
)
ROWS_AT_ONCE = 500


def as_csv(batch: Batch) -> StreamingHttpResponse:
    return _download(_csv_lines(batch), "text/csv; charset=utf-8", f"{batch.name}.csv")


def as_json(batch: Batch) -> StreamingHttpResponse:
    return _download(_json_lines(batch), "application/json", f"{batch.name}.json")


def summary(batch: Batch, totals: batches.Totals) -> dict[str, Any]:
    """What a list says of a batch."""
    return {
        "id": str(batch.pk),
        "name": batch.name,
        "state": batch.state.value,
        "checkpoint": batch.checkpoint or None,
        "created_at": batch.created_at,
        "closed_at": batch.closed_at,
        "cancelled_at": batch.cancelled_at,
        "totals": totals.as_dict(),
    }


def detail(batch: Batch) -> dict[str, Any]:
    """The summary, with what was heard, and why what waits may wait for long."""
    totals = batches.totals(batch)
    labels = [{"label": row.label, "count": row.count} for row in batches.labels(batch)]
    notice = missing_worker(totals.unfinished, batch.created_at)
    return summary(batch, totals) | {
        "labels": labels,
        "notice": notice.as_dict() if notice else None,
    }


def sent_file(file: BatchFile, *, known: bool) -> dict[str, Any]:
    """What whoever sent a file is told of it."""
    return {
        "path": file.path,
        "outcome": file.outcome,
        "known": known,
        "analysis": str(file.analysis_id) if file.analysis_id else None,
        "error": file.error.as_dict()
        if file.error and file.outcome == FileOutcome.REFUSED
        else None,
    }


def file_json(file: BatchFile) -> dict[str, Any]:
    """One file. A duplicate carries the answer of the earlier analysis that it links."""
    analysis, error = file.analysis, file.error.as_dict() if file.error else {}
    done = analysis is not None and analysis.state == State.DONE
    return {
        "path": file.path,
        "outcome": file.outcome,
        "state": analysis.state if analysis else None,
        "label": analysis.label if analysis and done else None,
        "confidence": analysis.confidence if analysis and done else None,
        "top_five": analysis.predictions[:5] if analysis else [],
        "duration_s": analysis.clip.duration_s if analysis else None,
        "checkpoint": analysis.checkpoint or None if analysis else None,
        "error_code": error.get("code"),
        "error_detail": error.get("detail"),
        "error_hint": error.get("hint"),
        "analysis": str(analysis.pk) if analysis else None,
    }


def _rows(batch: Batch) -> Iterator[dict[str, Any]]:
    for file in batch.files.for_export().iterator(chunk_size=ROWS_AT_ONCE):
        yield file_json(file)


def _csv_lines(batch: Batch) -> Iterator[str]:
    def cells(row: dict[str, Any]) -> list[Any]:
        five = "; ".join(f"{p['class']} {p['confidence']:.4f}" for p in row["top_five"])
        return [(row | {"top_five": five})[column] for column in COLUMNS]

    return csv_lines(COLUMNS, map(cells, _rows(batch)))


def _json_lines(batch: Batch) -> Iterator[str]:
    text = json.dumps(detail(batch), default=_moment, ensure_ascii=False)
    yield f'{text[:-1]}, "files": ['
    for number, row in enumerate(_rows(batch)):
        yield f"{',' if number else ''}\n{json.dumps(row, ensure_ascii=False)}"
    yield "\n]}\n"


def _moment(moment: datetime) -> str:
    """As everywhere in the API."""
    return moment.isoformat().replace("+00:00", "Z")


def _download(lines: Iterator[str], content_type: str, name: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(lines, content_type=content_type)
    response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    response["Cache-Control"] = "no-store"
    return response
