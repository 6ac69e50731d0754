"""The values of rows, and cells of tables that programs read. None evaluates formulas."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(text: str) -> str:
    """Escape what would end a cell or a line: control characters become `%` and hex digits."""
    if text.isprintable():  # nearly always, and quicker
        return text
    return _CONTROL.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)


def decimal(value: float) -> str:
    """Format a number to the microsecond or the millionth, without an exponent."""
    return f"{value:.6f}"


def utc_text(moment: datetime | None) -> str | None:
    """Format a time like the API: 2026-11-22T09:05:00Z."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def value_of(row: Any, source: str) -> Any:
    """Follow the path `source` through attributes and keys; return None if any part is empty."""
    for name in source.split("."):
        if row is None:
            return None
        row = row[name] if isinstance(row, dict) else getattr(row, name)
    return None if row == "" else row


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], delimiter: str = "\t"
) -> Iterator[bytes]:
    """Yield the lines of a table in UTF-8, the header first."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    yield _taken(buffer)
    for row in rows:
        writer.writerow([one_line(cell) for cell in row])
        yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()
