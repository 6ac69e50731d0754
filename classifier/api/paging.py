"""Cursor pagination: pages stay correct while rows change, and cost the same at any depth."""

from datetime import UTC
from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

PAGE_ROWS, MAX_PAGE_ROWS = 50, 200


class NewestFirst(CursorPagination):
    ordering: Any = ("-created_at", "-id")
    page_size = PAGE_ROWS
    max_page_size = MAX_PAGE_ROWS
    page_size_query_param = "limit"

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Decode the cursor of the request, if it has one.

        Raises
        ------
        NotFound
            The cursor is invalid, or its position is one that the database would reject.
        """
        try:
            cursor = super().decode_cursor(request)
            if cursor == Cursor(0, False, None):  # nothing in it was understood
                raise ValueError(cursor)
            if cursor is not None and cursor.position is not None:
                time = parse_datetime(str(cursor.position))
                if time is None or time.astimezone(UTC).year < 1970:
                    raise ValueError(cursor.position)
        except (NotFound, ValueError, OverflowError) as error:
            raise NotFound(
                "This cursor leads nowhere; follow `next` and `previous`.", "no_such_page"
            ) from error
        return cursor


class NewestTokensFirst(NewestFirst):
    ordering = ("-created", "-public_id")
