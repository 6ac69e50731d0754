"""Times in the fields of forms."""

from datetime import UTC, datetime

from django.utils.dateparse import parse_datetime

FIRST_YEAR = 1970


def time_of(text: str) -> datetime | None:
    """Return a time with an offset, in ISO 8601; None if it is none or before FIRST_YEAR."""
    try:
        found = parse_datetime(text)
        if found is None or found.tzinfo is None or found.astimezone(UTC).year < FIRST_YEAR:
            return None
    except (ValueError, OverflowError):
        return None
    return found
