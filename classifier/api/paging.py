"""Pages that stay right while rows come and go, and cost the same however deep one reads."""

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
        try:
            cursor = super().decode_cursor(request)
        except NotFound as error:
            raise _not_ours() from error
        if cursor == Cursor(0, False, None):  # nothing in it was understood
            raise _not_ours()
        if cursor is not None and cursor.position is not None:
            _check_time(str(cursor.position))
        return cursor


class NewestTokensFirst(NewestFirst):
    ordering = ("-created", "-public_id")


def _check_time(position: str) -> None:
    """The database would take a made-up position amiss."""
    try:
        time = parse_datetime(position)
        if time is None or time.astimezone(UTC).year < 1970:
            raise ValueError(position)
    except (ValueError, OverflowError) as error:
        raise _not_ours() from error


def _not_ours() -> NotFound:
    return NotFound("This cursor leads nowhere; follow `next` and `previous`.", "no_such_page")
