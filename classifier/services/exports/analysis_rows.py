"""Analyses as a table: one row for each, as the history page lists them."""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from django.http import StreamingHttpResponse

from classifier.models.analyses import AnalysisQuerySet
from classifier.models.history import SORTS, Sort
from classifier.services.exports.cells import utc_text, value_of
from classifier.services.exports.csv_lines import csv_lines
from classifier.services.exports.recordings import by_key
from classifier.services.file_responses import download

ROWS_AT_ONCE = 500
# Column → where an analysis has the value; an empty value becomes null.
COLUMNS = {
    "analysis": "pk",
    "clip": "clip_id",
    "file": "clip.name",
    "folder": "clip.folder",
    "state": "state",
    "label": "label",
    "confidence": "confidence",
    "second_label": "second_label",
    "not_sure": "not_sure",
    "duration_s": "clip.duration_s",
    "event_count": "event_count",
    "created_at": "created_at",
    "recorded_at": "clip.recorded_at",
    "tags": "clip.tag_names",
    "note": "clip.note",
    "judged_label": "judgement.label",
    "judged_by": "judgement.by",
    "judged_at": "judgement.created_at",
    "notices": "clip.notices",
    "checkpoint": "checkpoint",
    "error_code": "error_code",
}


class RowFormat(StrEnum):
    """A format of the table, beside those of events."""

    CSV = "rows.csv"
    JSON_LINES = "rows.jsonl"


# What a person calls them.
NAMES = {RowFormat.CSV: "CSV", RowFormat.JSON_LINES: "JSON lines"}
CONTENT_TYPES = {
    RowFormat.CSV: "text/csv; charset=utf-8",
    RowFormat.JSON_LINES: "application/x-ndjson",
}


def download_of(analyses: AnalysisQuerySet, sort: str, form: RowFormat) -> StreamingHttpResponse:
    """Return the table of analyses as a download.

    Parameters
    ----------
    sort : str
        The order, a name in `models.history.SORTS`. Analyses without a place in it are left out.
    """
    rows = _rows(analyses, SORTS[sort])
    lines = _csv(rows) if form == RowFormat.CSV else _json_lines(rows)
    return download(lines, CONTENT_TYPES[form], f"history.{form}")


def _rows(analyses: AnalysisQuerySet, order: Sort) -> Iterator[dict[str, Any]]:
    listed = analyses.filter(order.condition).light().defer("timings")
    for page in by_key(listed, order.columns, ROWS_AT_ONCE):
        for analysis in page:
            row = {name: value_of(analysis, source) for name, source in COLUMNS.items()}
            times = {name: utc_text(row[name]) for name in ("created_at", "judged_at")}
            yield row | times


def _csv(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    def cells(row: dict[str, Any]) -> list[Any]:
        return ["; ".join(one) if isinstance(one, list) else one for one in row.values()]

    return csv_lines(list(COLUMNS), map(cells, rows))


def _json_lines(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row, default=str, ensure_ascii=False) + "\n"
