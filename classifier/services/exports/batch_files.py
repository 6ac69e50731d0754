"""A batch as plain values, for pages, API and exports.

CSV and JSON are streamed line by line, so that ten thousand files take as much memory as ten.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse

from classifier.models import Batch, BatchFile, FileOutcome, State
from classifier.services import batch_summary, batches
from classifier.services.dispatch import missing_worker
from classifier.services.exports.cells import utc_text, value_of
from classifier.services.exports.csv_lines import csv_lines
from classifier.services.file_responses import download


@dataclass(frozen=True, slots=True)
class Column:
    """A field of each file, in JSON, in CSV and in the API's schema.

    Attributes
    ----------
    type : type
        One of str, int, float, bool, datetime, UUID, a class of text choices, or list for
        predictions, notices and tags.
    source : str
        Where a BatchFile has the value; an empty value becomes null.
    words, example
        Description and example in the schema.
    """

    type: type
    source: str
    words: str
    example: Any
    nullable: bool = True


COLUMNS = {
    "path": Column(str, "path", "Path in the batch.", "morning/dawn.wav", nullable=False),
    "outcome": Column(FileOutcome, "outcome", "Outcome of the upload.", "accepted", nullable=False),
    "state": Column(State, "analysis.state", "State of its analysis; null if refused.", "done"),
    "label": Column(str, "analysis.label", "Top class; null until done.", "chirping_birds"),
    "confidence": Column(
        float, "analysis.confidence", "Confidence of the top class, 0 to 1; null until done.", 0.924
    ),
    "not_sure": Column(
        bool,
        "analysis.not_sure",
        "Whether the sound is probably none of the checkpoint's classes; false until done, null if "
        "refused.",
        False,
    ),
    "judged_label": Column(
        str,
        "analysis.judgement.label",
        "The right class, as a person says; null if nobody has said it, or if it is none of the "
        "checkpoint's classes.",
        None,
    ),
    "judged_by": Column(
        str,
        "analysis.judgement.by",
        "Username of who said it; null if nobody has, or the account was deleted.",
        None,
    ),
    "judged_at": Column(
        datetime,
        "analysis.judgement.created_at",
        "Time of the judgement, UTC; null if nobody has said it.",
        None,
    ),
    "top_five": Column(
        list,
        "analysis.predictions",
        "The five most probable classes, most probable first.",
        [{"class": "chirping_birds", "confidence": 0.924}],
        nullable=False,
    ),
    "duration_s": Column(
        float,
        "analysis.clip.duration_s",
        "Duration in seconds; null until the file is decoded.",
        5.0,
    ),
    "event_count": Column(
        int, "analysis.event_count", "Number of events; null until done, or if refused.", 1
    ),
    "notices": Column(
        list,
        "analysis.clip.noticed",
        "What was changed or left out when the file was decoded; in CSV, the codes.",
        [],
        nullable=False,
    ),
    "tags": Column(
        list, "analysis.clip.tag_names", "Tags of the clip.", ["garden"], nullable=False
    ),
    "note": Column(str, "analysis.clip.note", "What you noted about the clip; null if none.", None),
    "checkpoint": Column(
        str,
        "analysis.checkpoint",
        "The checkpoint used, or requested, as name@sha256; null if neither.",
        "esc50-folds1234@4f6a1c0d9b2e",
    ),
    "error_code": Column(str, "error.code", "Error code; null if there is no error.", None),
    "error_detail": Column(str, "error.detail", "What is wrong; null if there is no error.", None),
    "error_hint": Column(str, "error.hint", "What to do; null if there is no error.", None),
    "analysis": Column(
        UUID, "analysis.pk", "Analysis id; null if refused.", "9f1c2b7e-3f4a-4d52-8a39-0d6c2f1e7b10"
    ),
}
ROWS_AT_ONCE = 500


def as_csv(batch: Batch) -> StreamingHttpResponse:
    return download(csv_of(_rows(batch)), "text/csv; charset=utf-8", f"{batch.name}.csv")


def as_json(batch: Batch) -> StreamingHttpResponse:
    return download(_json_lines(batch), "application/json", f"{batch.name}.json")


def summary(batch: Batch, totals: batches.Totals) -> dict[str, Any]:
    """Return a batch as it appears in a list."""
    return {
        "id": str(batch.pk),
        "name": batch.name,
        "state": batch.state.value,
        "checkpoint": batch.checkpoint or None,
        "created_at": batch.created_at,
        "closed_at": batch.closed_at,
        "cancelled_at": batch.cancelled_at,
        "finished_at": batch.finished_at,
        "left_out": batch.left_out,
        "totals": totals.as_dict(),
    }


def detail(batch: Batch) -> dict[str, Any]:
    """Return the summary with progress and labels, and a notice if no worker is responding."""
    totals = batches.totals(batch)
    notice = missing_worker(totals.unfinished, batch.created_at)
    pace = None if notice else batch_summary.pace(batch, totals)
    return summary(batch, totals) | {
        "rate_per_s": round(pace.rate_per_s, 4) if pace else None,
        "left_s": round(pace.left_s) if pace else None,
        "retryable": batch_summary.retryable(batch, totals),
        "labels": [
            {"label": row.label, "count": row.count} for row in batch_summary.labels(batch).counts
        ],
        "notice": notice.as_dict() if notice else None,
    }


def folder(found: batch_summary.Folder) -> dict[str, Any]:
    """Return one folder of a batch."""
    return {
        "path": found.path,
        "folders": len(found.inside),
        "totals": found.totals.as_dict(),
        "labels": [{"label": label, "count": count} for label, count in found.top_labels],
    }


def sent_file(file: BatchFile, *, known: bool) -> dict[str, Any]:
    """Return the response for a file that was sent to a batch.

    Parameters
    ----------
    known : bool
        Whether the batch already had the file.
    """
    error = file.error if file.outcome == FileOutcome.REFUSED else None
    return {
        "path": file.path,
        "outcome": file.outcome,
        "known": known,
        "analysis": str(file.analysis_id) if file.analysis_id else None,
        "error": error.as_dict() if error else None,
    }


def file_json(file: BatchFile) -> dict[str, Any]:
    """Return one file as a row. A duplicate has the values of the earlier analysis it links to."""
    row = {name: value_of(file, column.source) for name, column in COLUMNS.items()}
    lists = {name: row[name] or [] for name in ("top_five", "notices", "tags")}
    lists["top_five"] = lists["top_five"][:5]
    return row | lists | {"judged_at": utc_text(row["judged_at"])}


def csv_of(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    def cells(row: dict[str, Any]) -> list[Any]:
        five = "; ".join(f"{p['class']} {p['confidence']:.4f}" for p in row["top_five"])
        codes = "; ".join(one["code"] for one in row["notices"])
        tags = "; ".join(row["tags"])
        return list((row | {"top_five": five, "notices": codes, "tags": tags}).values())

    return csv_lines(list(COLUMNS), map(cells, rows))


def _rows(batch: Batch) -> Iterator[dict[str, Any]]:
    return map(file_json, batch.files.for_export().iterator(chunk_size=ROWS_AT_ONCE))


def _json_lines(batch: Batch) -> Iterator[str]:
    text = json.dumps(detail(batch), default=utc_text, ensure_ascii=False)
    yield f'{text[:-1]}, "files": ['
    for number, row in enumerate(_rows(batch)):
        yield f"{',' if number else ''}\n{json.dumps(row, default=str, ensure_ascii=False)}"
    yield "\n]}\n"
