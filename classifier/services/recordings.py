"""What a user says about a recording."""

from classifier.models import Clip
from classifier.services.problems import refusal
from ml.clock_time import EARLIEST_YEAR, USER, parse

MAX_SHOWN = 40


def set_start(clip: Clip, text: str) -> None:
    """Set when a recording starts; later analyses keep it.

    Parameters
    ----------
    text : str
        A date and time in ISO 8601, with an offset if the zone is known; "" if it is unknown.

    Raises
    ------
    RequestRefused
        The text is no such time, or is in the future or before 1980.
    """
    time = parse(text)
    if text.strip() and time is None:
        raise refusal(
            "invalid_time",
            f"{text[:MAX_SHOWN]!r} is not a date and time from {EARLIEST_YEAR} until now.",
            "Write it like 2024-05-01T05:30:00+02:00, or without the offset if the time zone is "
            "unknown.",
        )
    clip.recorded_at, clip.recorded_from = time.isoformat() if time else "", USER
    clip.save(update_fields=["recorded_at", "recorded_from"])
