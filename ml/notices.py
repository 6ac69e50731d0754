"""What a decoder did with a file that was not a plain success, as codes with a sentence each."""

from collections.abc import Iterable

CHANNELS_CANCELLED = "channels_cancelled"
CUT_SHORT = "cut_short"
LENGTH_WRONG = "length_wrong"
PART_SKIPPED = "part_skipped"
PARTS_JOINED = "parts_joined"
RATE_CHANGED = "rate_changed"
SECOND_TRACK_USED = "second_track_used"
SILENT = "silent"
START_SKIPPED = "start_skipped"

SENTENCES = {
    CHANNELS_CANCELLED: "The channels cancel each other out when they are averaged, so only the "
    "loudest channel was analysed.",
    CUT_SHORT: "The end of the file is missing. The sound was analysed up to there.",
    LENGTH_WRONG: "The file is longer than its header says. All of it was analysed.",
    PART_SKIPPED: "Part of the file is damaged or is not audio. It was left out.",
    PARTS_JOINED: "The file contains several recordings, one after the other. They were analysed "
    "as one.",
    RATE_CHANGED: "The sample rate changes within the file. Each part was converted from its own "
    "rate.",
    SECOND_TRACK_USED: "The first audio track is silent, nearly empty or cannot be decoded, so "
    "another track was analysed.",
    SILENT: "The sound is silent or nearly silent: it is never louder than −80 dB.",
    START_SKIPPED: "The file begins with data that is not audio. It was left out.",
}


def as_dicts(codes: Iterable[str]) -> list[dict[str, str]]:
    """Return each code with its sentence, for JSON."""
    return [{"code": code, "detail": SENTENCES[code]} for code in codes]
