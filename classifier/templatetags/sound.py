"""Template filters that format values for people."""

from datetime import datetime, timedelta

from django import template

from classifier.checkpoints.class_names import display_name
from classifier.checkpoints.descriptions import title_of
from classifier.models import Analysis, Clip

register = template.Library()

# Below this confidence, an answer is called a guess.
MIN_SURE = 0.5

# Where the start of a recording was found, by `Clip.recorded_from`.
RECORDED_FROM = {
    "guano": "from its GUANO metadata",
    "wamd": "from its Wildlife Acoustics metadata",
    "comment": "from its AudioMoth comment",
    "ixml": "from its iXML metadata",
    "bwf": "from its Broadcast WAV header",
    "mp4": "from its MP4 header",
    "vorbis": "from its Vorbis comment",
    "id3": "from its ID3 tag",
    "name": "from the file name",
    "user": "set by you",
}

register.filter("display_name", display_name)
register.filter("checkpoint_title", title_of)


def sounds(count: int, silent: bool) -> str:
    """Return what a recording contains: 39 sounds, “Silence”, or “Nothing clear”."""
    if count and not silent:
        return f"{count:,} sound{'' if count == 1 else 's'}"
    return "Silence" if silent else "Nothing clear"


@register.filter
def predicted(analysis: Analysis) -> str:
    """Return the answer: “Rain”, “Perhaps rain”, or “Not sure: rain or wind?”; see also `sounds`.

    A long recording has no class as a whole, but a number of sounds.
    """
    if analysis.long or analysis.clip.silent:
        return sounds(analysis.event_count or 0, analysis.clip.silent)
    if not analysis.not_sure:
        return answer(analysis.label, analysis.confidence)
    first, second = (display_name(name) for name in (analysis.label, analysis.second_label))
    return f"Not sure: {first.lower()} or {second.lower()}?"


@register.filter
def answer(label: str, confidence: float | None) -> str:
    """Return the display name of a class, “Perhaps rain” if the confidence is below one half."""
    name = display_name(label)
    return name if confidence is None or confidence >= MIN_SURE else f"Perhaps {name.lower()}"


@register.filter
def said_name(label: str) -> str:
    """Return the display name of the class of a judgement; "" is none of the classes."""
    return display_name(label) if label else "None of the classes"


@register.filter
def percent(share: float | None) -> str:
    """Format a share as a percentage, never rounded to 0 or 100: 92.4 %, < 0.1 %, 99.9 %."""
    if share is None:
        return ""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    value = min(share * 100, 99.9) if share < 1 else 100.0
    return f"{value:.1f} %"


@register.filter
def percent_whole(share: float) -> str:
    if 0 < share < 0.005:
        return "< 1 %"
    return f"{share * 100:.0f} %"


@register.filter
def half(count: int) -> int:
    return count // 2


@register.filter
def seconds(duration_s: float | None) -> str:
    """Format a duration: 5.0 → 5.00 s, 95 → 1:35 min."""
    if duration_s is None:
        return ""
    if duration_s < 60:
        return f"{duration_s:.2f} s"
    minutes, rest = divmod(round(duration_s), 60)
    return f"{minutes}:{rest:02d} min"


@register.filter
def limit_words(limit_s: int) -> str:
    """Format a limit of a duration: 600 → 10 minutes, 90 → 90 seconds."""
    minutes, rest = divmod(limit_s, 60)
    count, unit = (limit_s, "second") if rest else (minutes, "minute")
    return f"{count} {unit}{'' if count == 1 else 's'}"


@register.filter
def clock(time_s: float, decimals: int = 0) -> str:
    """Format a time in a recording: 542 → 9:02, 3725 → 1:02:05; with a decimal, 192.5 → 3:12.5."""
    scale = 10**decimals
    units = round(time_s * scale)
    minutes, rest = divmod(units, 60 * scale)
    hours, minutes = divmod(minutes, 60)
    width = 3 + decimals if decimals else 2
    seconds_text = f"{rest / scale:0{width}.{decimals}f}"
    return f"{hours}:{minutes:02d}:{seconds_text}" if hours else f"{minutes}:{seconds_text}"


@register.filter
def time_of_day(time_s: float, started_at: datetime) -> str:
    """Format the time of day at a time in a recording, in the zone of its start: 05:13:12."""
    return (started_at + timedelta(seconds=time_s)).strftime("%H:%M:%S")


@register.filter
def rate(rate_per_s: float) -> str:
    """Format a number of clips per time: 12 clips per second, 40 clips per minute."""
    for factor, unit in ((1, "second"), (60, "minute")):
        if rate_per_s * factor >= 1.5:
            return f"{rate_per_s * factor:,.0f} clips per {unit}"
    per_hour = max(1, round(rate_per_s * 3600))
    return f"{per_hour} clip{'' if per_hour == 1 else 's'} per hour"


@register.filter
def time_left(left_s: float) -> str:
    """Format a time to wait: about 17 seconds, about 3 minutes, about 2 hours."""
    if left_s < 60:
        count, unit = max(1, round(left_s)), "second"
    elif left_s < 5400:
        count, unit = round(left_s / 60), "minute"
    else:
        count, unit = round(left_s / 3600), "hour"
    return f"about {count:,} {unit}{'' if count == 1 else 's'}"


@register.filter
def kilohertz(rate_hz: int | None) -> str:
    return f"{rate_hz / 1000:g} kHz" if rate_hz else ""


@register.filter
def recorded(clip: Clip) -> str:
    """Format the start of a recording: 1 May 2024, 05:30 UTC+02:00 (from the file name)."""
    time = clip.clock_time()
    if time is None:
        return "unknown"
    clock = f"{time:%H:%M:%S}" if time.second else f"{time:%H:%M}"
    source = RECORDED_FROM[clip.recorded_from]
    if time.tzinfo is None:
        return f"{time.day} {time:%B %Y}, {clock} ({source}; time zone unknown)"
    return f"{time.day} {time:%B %Y}, {clock} {time.tzname()} ({source})"


@register.filter
def utc_offset(clip: Clip) -> str:
    """Return the offset of a recording's start from UTC, such as +02:00; "" if it is unknown."""
    time = clip.clock_time()
    return time.isoformat()[-len("+02:00") :] if time and time.tzinfo else ""


@register.filter
def channels(count: int | None) -> str:
    return {None: "", 1: "mono", 2: "stereo"}.get(count, f"{count} channels")
