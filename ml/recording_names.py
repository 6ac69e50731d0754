"""Read from the name of a file when its recording starts."""

import re
from datetime import UTC, datetime, timedelta

from ml.clock_time import NAME, RecordingStart, from_match, is_plausible

# What a zone after the time may be: without this, the -0001 of a numbered file would be one.
_ZONE = r"_?(?P<zone>Z(?![A-Za-z])|[+-](?:0\d|1[0-4]):?(?:00|30|45))?(?!\d)"
_PATTERNS = (
    # 20240501_053000.WAV, PREFIX_20240501_053000-0500.wav, 20240501T053000Z, REC20240501053000,
    # 2024-05-01 05.30.00.m4a, 2024-05-01-birdnet-05:30:00.wav
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<mark>[-_.]?)(?P<month>\d\d)(?P=mark)(?P<day>\d\d)"
    r"(?:[T _-]|-birdnet-| at |)"
    r"(?P<hour>\d\d)(?P<colon>[-_.:]?)(?P<minute>\d\d)(?P=colon)(?P<second>\d\d)"
    rf"(?! ?[AP]M){_ZONE}",
    # 240501_053000.WAV, Voice 240501_053000.m4a
    rf"(?<!\d)(?P<short_year>\d\d)(?P<month>\d\d)(?P<day>\d\d)_"
    rf"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d){_ZONE}",
)
BUILT_IN = tuple(re.compile(pattern, re.ASCII) for pattern in _PATTERNS)
# The first AudioMoth devices wrote the seconds since 1970 in hexadecimal digits. Other names of
# eight such digits exist; those of AudioMoth are in capitals and not older than the device.
AUDIOMOTH = re.compile(r"([0-9A-F]{8})\.WAV")
AUDIOMOTH_SINCE = datetime(2016, 1, 1, tzinfo=UTC)

# The codes of a format, as in `strptime`.
CODES = {
    "Y": r"(?P<year>\d{4})",
    "y": r"(?P<short_year>\d\d)",
    "m": r"(?P<month>\d\d)",
    "d": r"(?P<day>\d\d)",
    "H": r"(?P<hour>\d\d)",
    "M": r"(?P<minute>\d\d)",
    "S": r"(?P<second>\d\d)",
    "z": r"(?P<zone>Z|[+-]\d\d:?\d\d)",
}


def from_name(name: str, pattern: str = "") -> RecordingStart | None:
    """Return the start that the name of a file states, or None.

    Parameters
    ----------
    pattern : str
        A further format, see `compiled`, which is tried first.

    Returns
    -------
    RecordingStart or None
        Without a zone unless the name states it: most recorders can be set to any.
    """
    patterns = (compiled(pattern), *BUILT_IN) if pattern else BUILT_IN
    for one in patterns:
        for match in one.finditer(name):
            if (time := from_match(match)) is not None:
                return RecordingStart(time, NAME)
    return _from_audiomoth(name)


def _from_audiomoth(name: str) -> RecordingStart | None:
    match = AUDIOMOTH.fullmatch(name)
    if match is None:
        return None
    time = datetime.fromtimestamp(0, UTC) + timedelta(seconds=int(match[1], 16))
    plausible = time >= AUDIOMOTH_SINCE and is_plausible(time)
    return RecordingStart(time, NAME) if plausible else None


def compiled(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a format such as `%d-%m-%Y_%Hh%M`.

    It may match anywhere in a name, but not within a longer number. `%%` is a percent sign.

    Raises
    ------
    ValueError
        With a sentence for the administrator: a code is unknown, repeated or missing.
    """
    parts = re.split(r"%(.?)", pattern, flags=re.DOTALL)
    codes = [code for code in parts[1::2] if code != "%"]
    for code in codes:
        if code not in CODES:
            known = ", ".join(f"%{name}" for name in CODES)
            raise ValueError(f"%{code} is not one of the codes {known} and %%.")
        if codes.count(code) > 1:
            raise ValueError(f"%{code} occurs more than once.")
    if not {"m", "d", "H"} <= set(codes) or ("Y" in codes) == ("y" in codes):
        raise ValueError("It must contain the day and the hour: %Y or %y, %m, %d and %H.")
    texts = [re.escape(part) for part in parts]
    texts[1::2] = [CODES.get(code, "%") for code in parts[1::2]]
    # An outer code must not match inside a longer number.
    before = r"(?<!\d)" if not parts[0] and parts[1] != "%" else ""
    after = r"(?!\d)" if not parts[-1] and parts[-2] != "%" else ""
    return re.compile(before + "".join(texts) + after, re.ASCII)
