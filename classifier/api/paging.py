"""Cursor pagination: pages stay correct while rows change.

The cost of a page does not grow with the number of pages before it.
"""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Field, Model
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from classifier.models.history import DEFAULT_SORT, SORTS, behind

NO_SUCH_PAGE = NotFound(
    "The cursor is invalid. Use the URLs in `next` and `previous`.", "no_such_page"
)
PAGE_ROWS, MAX_PAGE_ROWS = 50, 200


class Pages(CursorPagination):
    """Pages of rows in the order of `ordering`, whose columns are together unique.

    A cursor has the values of these columns in the row at the edge of a page, so that equal values
    in the first one lose no row.
    """

    page_size = PAGE_ROWS
    max_page_size = MAX_PAGE_ROWS
    page_size_query_param = "limit"
    order, later, earlier = "newest first", "older", "newer"

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        url = {"type": ["string", "null"], "format": "uri", "example": None}
        if isinstance(schema, dict):  # to build examples, drf-spectacular passes a placeholder
            schema = schema | {"description": f"The rows on this page, {self.order}."}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": {
                    **url,
                    "description": f"URL of the page with {self.later} rows; null on the last "
                    "page.",
                },
                "previous": {
                    **url,
                    "description": f"URL of the page with {self.earlier} rows; null on the first "
                    "page.",
                },
                "results": schema,
            },
        }

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the rows of the requested page.

        Raises
        ------
        NotFound
            The cursor is invalid.
        """
        self.request, self.base_url = request, request.build_absolute_uri()
        size = self.get_page_size(request) or self.page_size
        cursor = self.decode_cursor(request)
        back = cursor is not None and cursor.reverse
        order = tuple(map(_turned, self.ordering)) if back else tuple(self.ordering)
        rows = queryset.order_by(*order)
        if cursor is not None:
            edge = _position(queryset.model, order, str(cursor.position))
            rows = rows.filter(behind(edge, order))
        found = list(rows[: size + 1])
        further, found = len(found) > size, found[:size]
        self.rows = found[::-1] if back else found
        self.has_next, self.has_previous = (True, further) if back else (further, bool(cursor))
        return self.rows

    def get_next_link(self) -> str | None:
        return self._link(-1, back=False) if self.has_next and self.rows else None

    def get_previous_link(self) -> str | None:
        return self._link(0, back=True) if self.has_previous and self.rows else None

    def _link(self, place: int, *, back: bool) -> str:
        row = self.rows[place]
        values = [getattr(row, column.removeprefix("-")) for column in self.ordering]
        position: Any = json.dumps(values, cls=DjangoPosition, ensure_ascii=False)
        return self.encode_cursor(Cursor(0, back, position))

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor = super().decode_cursor(request)
        except (NotFound, ValueError) as error:
            raise NO_SUCH_PAGE from error
        if cursor is not None and cursor.position is None:
            raise NO_SUCH_PAGE
        return cursor


class DjangoPosition(json.JSONEncoder):
    """JSON of times to the microsecond, and of UUIDs."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime) else str(o)


def _turned(column: str) -> str:
    return column[1:] if column.startswith("-") else f"-{column}"


def _position(model: type[Model], order: tuple[str, ...], text: str) -> SimpleNamespace:
    """Return the values of a cursor's row by column.

    Raises
    ------
    NotFound
        A value is not one of its column, or one that the database would reject.
    """
    names = [column.removeprefix("-") for column in order]
    try:
        values = dict(zip(names, json.loads(text), strict=True))
        return SimpleNamespace(**{name: _value(model, name, values[name]) for name in names})
    except (ValueError, TypeError, OverflowError, ValidationError) as error:
        raise NO_SUCH_PAGE from error


def _value(model: type[Model], name: str, value: Any) -> Any:
    if not isinstance(value, str | int | float) or "\0" in str(value):
        raise ValueError(value)
    str(value).encode()  # raises UnicodeEncodeError for half a surrogate pair
    field = model._meta.get_field(name)
    assert isinstance(field, Field)
    found = field.to_python(value)
    if isinstance(found, datetime):
        if found.tzinfo is None or found.astimezone(UTC).year < 1970:
            raise ValueError(value)
    elif isinstance(found, int | float) and not abs(found) < 2**63:
        raise ValueError(value)
    return found


class NewestFirst(Pages):
    ordering: Any = ("-created_at", "-id")


class NewestTokensFirst(NewestFirst):
    ordering = ("-created", "-public_id")


class ByStart(Pages):
    ordering: Any = ("start_s", "id")
    order, later, earlier = "by start", "later", "earlier"


class Sorted(Pages):
    """Pages in the order of the filter `sort`; a view passes its columns."""

    ordering: Any = SORTS[DEFAULT_SORT].columns
    order, later, earlier = "in the order of `sort`", "the following", "the preceding"
