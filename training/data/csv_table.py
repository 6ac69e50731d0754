"""Read the CSV files that list sounds."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SEPARATORS = {";": "semicolons", "\t": "tabs"}


class DataError(Exception):
    """The data cannot be used. The message says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a CSV file, with spaces around its cells removed.

    Attributes
    ----------
    where : str
        File name and line number.
    cells : dict of str to str
        The cells by column.
    """

    where: str
    cells: dict[str, str]


def read_rows(table: Path, *columns: str) -> Iterator[Row]:
    """Yield the rows of a CSV file in UTF-8.

    Parameters
    ----------
    columns : columns that the file must have

    Raises
    ------
    DataError
        A column is missing, or the file is in another encoding or has another separator.
    """
    reader = csv.DictReader(io.StringIO(_text(table), newline=""))
    try:
        header = reader.fieldnames or []
        for separator, name in _SEPARATORS.items():
            if len(header) == 1 and separator in header[0]:
                raise DataError(
                    f"The columns of {table.name} are separated by {name}. Save it as a CSV file "
                    "with commas."
                )
        if missing := sorted(set(columns) - set(header)):
            raise DataError(f"{table.name} has no column {' and no column '.join(missing)}.")
        for row in reader:
            cells = {name: (row[name] or "").strip() for name in header}
            yield Row(f"{table.name}, line {reader.line_num}", cells)
    except csv.Error as error:
        raise DataError(
            f"{table.name}, line {reader.line_num}: this is not CSV ({error})."
        ) from error


def _text(table: Path) -> str:
    data = table.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise DataError(f"{table.name} is not in UTF-8 but in UTF-16. Save it as CSV in UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{table.name}, line {line}: the text is not in UTF-8. Save the file as CSV in UTF-8."
        ) from error
