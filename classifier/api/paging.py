"""Cursor pagination: pages stay correct while rows change.

The cost of a page does not grow with the number of pages before it.
"""

import math
from datetime import UTC
from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

PAGE_ROWS, MAX_PAGE_ROWS = 50, 200


class Pages(CursorPagination):
    """Pages of rows in the order of `ordering`, whose first column is the cursor's position."""

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

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Decode the cursor of the request, if it has one.

        Raises
        ------
        NotFound
            The cursor is invalid, or its position is one that the database would reject.
        """
        try:
            cursor = super().decode_cursor(request)
            if cursor == Cursor(0, False, None):  # nothing could be decoded
                raise ValueError(cursor)
            if cursor is not None and cursor.position is not None:
                self.check_position(str(cursor.position))
        except (NotFound, ValueError, OverflowError) as error:
            raise NotFound(
                "The cursor is invalid. Use the URLs in `next` and `previous`.", "no_such_page"
            ) from error
        return cursor

    def check_position(self, position: str) -> None:
        """Raise ValueError or OverflowError if the position cannot be that of a row."""
        raise NotImplementedError


class NewestFirst(Pages):
    ordering: Any = ("-created_at", "-id")

    def check_position(self, position: str) -> None:
        time = parse_datetime(position)
        if time is None or time.astimezone(UTC).year < 1970:
            raise ValueError(position)


class NewestTokensFirst(NewestFirst):
    ordering = ("-created", "-public_id")


class ByStart(Pages):
    ordering: Any = ("start_s", "id")
    order, later, earlier = "by start", "later", "earlier"

    def check_position(self, position: str) -> None:
        if not math.isfinite(float(position)):
            raise ValueError(position)
