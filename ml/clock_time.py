"""The clock time at which a recording starts."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

# Where the time was found, best first. `ml.audio.recording_time` reads all but the last two, which
# are the name of the file and the user.
NAME, USER = "name", "user"
SOURCES = ("guano", "wamd", "comment", "ixml", "bwf", "mp4", "vorbis", "id3", NAME, USER)
# Devices whose clock was never set count from an earlier year.
EARLIEST_YEAR = 1980
# How far a clock may be ahead; also covers every zone.
MAX_AHEAD = timedelta(days=1)
MAX_OFFSET_HOURS = 14
ZONE = r"(?P<zone>Z|[+-]\d{1,2}(?::?\d\d)?)"
ISO = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T ](?P<hour>\d\d):(?P<minute>\d\d)"
    rf"(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{{1,12}}))?)? ?{ZONE}?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class RecordingStart:
    """When a recording starts.

    Attributes
    ----------
    time : datetime
        Aware if the zone is known, otherwise naive.
    source : str
        Where it was found, one of `SOURCES`.
    """

    time: datetime
    source: str


def to_columns(start: RecordingStart | None) -> dict[str, str]:
    """Return the columns of a clip: the time in ISO 8601, at most 32 characters, and the source.

    Both are empty if the start is unknown.
    """
    return {
        "recorded_at": start.time.isoformat() if start else "",
        "recorded_from": start.source if start else "",
    }


def from_columns(recorded_at: str, recorded_from: str) -> RecordingStart | None:
    """Return the start that `to_columns` wrote. Raise ValueError if it did not write these."""
    if not recorded_at and not recorded_from:
        return None
    time = parse(recorded_at)
    if time is None or recorded_from not in SOURCES:
        raise ValueError(f"{recorded_at!r} {recorded_from!r}")
    return RecordingStart(time, recorded_from)


def parse(text: str) -> datetime | None:
    """Return the date and time in ISO 8601, or None if the text is none or is implausible.

    The seconds and the offset may be missing; a date alone is no clock time.
    """
    return from_match(ISO.fullmatch(text.strip()))


def from_match(match: re.Match[str] | None) -> datetime | None:
    """Return the time in a match with the groups of `ISO`, or None if it is implausible.

    Groups after `hour` may be missing; `short_year` may replace `year`: 24 means 2024.
    """
    if match is None:
        return None
    found = {name: text for name, text in match.groupdict().items() if text}
    year = int(found["year"]) if "year" in found else 2000 + int(found["short_year"])
    names = ("month", "day", "hour", "minute", "second")
    month, day, hour, minute, second = (int(found.get(name, 0)) for name in names)
    microsecond = int(found.get("fraction", "0")[:6].ljust(6, "0"))
    try:
        zone = _zone(found["zone"]) if "zone" in found else None
        time = datetime(year, month, day, hour, minute, second, microsecond, zone)
    except ValueError:  # there is no such day, time or zone
        return None
    return time if is_plausible(time) else None


def is_plausible(time: datetime) -> bool:
    """Return whether a recording can have started then: not in the future, nor before 1980."""
    latest = datetime.now(UTC) + MAX_AHEAD
    return time.year >= EARLIEST_YEAR and time.replace(tzinfo=time.tzinfo or UTC) <= latest


def _zone(text: str) -> timezone:
    """Return the zone of Z, +2, +02, +0200 or +02:00. Raise ValueError if there is none such."""
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "")
    hours, minutes = (int(digits[:-2]), int(digits[-2:])) if len(digits) > 2 else (int(digits), 0)
    if hours > MAX_OFFSET_HOURS or minutes > 59:
        raise ValueError(text)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
