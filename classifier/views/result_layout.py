"""Positions of elements on the pictures of the result page, as plain numbers for the template."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import log2, prod
from typing import Any

from classifier.checkpoints.channel_examples import Example
from classifier.models import Analysis
from classifier.templatetags.sound import clock
from ml.checkpoint_info import STAGES
from ml.render_metadata import (
    ArchiveIndex,
    ChannelInfo,
    ExplanationIndex,
    FrequencyTick,
    RenderMetadata,
)

_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)
# From this length on, times are minutes and seconds.
MINUTES_S = 60
MAX_TICKS = 10
BEST_CLASSES = 5
CLOSEST_TICKS = 0.06


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled mark on an axis.

    Attributes
    ----------
    place : float
        Percentage of the axis, from the left or from the top.
    """

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A class that can be explained on the page.

    Attributes
    ----------
    number : int
        Its key, from 1.
    confidence : float or None
        In the window that the page shows; None if it is not known.
    """

    number: int
    label: str
    confidence: float | None


def time_ticks(duration_s: float) -> list[Tick]:
    """Return ticks at round times, at most eleven: 0 s, 1, 2, … or 0:00, 1:00, 2:00, …"""
    step = next((s for s in _STEPS_S if duration_s / s <= MAX_TICKS), _STEPS_S[-1])
    times_s = [number * step for number in range(int(duration_s / step + 1e-9) + 1)]
    if duration_s >= MINUTES_S:
        texts = [clock(time_s) for time_s in times_s]
    else:
        texts = [f"{time_s:g}" if time_s else "0 s" for time_s in times_s]
    places = [round(100 * time_s / duration_s, 3) for time_s in times_s]
    return [Tick(*one) for one in zip(places, texts, strict=True)]


def frequency_ticks(ticks: Sequence[FrequencyTick]) -> list[Tick]:
    """Return the ticks from low to high, without those whose labels would touch."""
    found: list[Tick] = []
    last = -1.0
    for tick in ticks:
        if tick.place - last >= CLOSEST_TICKS:
            text = f"{tick.hz / 1000:g}k" if tick.hz >= 1000 else f"{tick.hz:g}"
            found.append(Tick(round(100 - 100 * tick.place, 3), text))
            last = tick.place
    return found


def window_of(metadata: RenderMetadata, asked: str) -> int:
    """Return the requested window, or the default one if there is no such window.

    Parameters
    ----------
    asked : str
        Number of the window as text, from 0.
    """
    if asked.isascii() and asked.isdigit() and len(asked) < 6:
        return int(asked) if int(asked) < metadata.window_count else metadata.shown_window
    return metadata.shown_window


def input_place(metadata: RenderMetadata, shown_from_s: float, duration_s: float) -> dict[str, Any]:
    """Return the part of the clip's spectrogram that the network received.

    A short clip is shown with the silence that follows it.

    Returns
    -------
    dict
        `left` and `width` in columns of the spectrogram, `frames`, the number of frames, and
        `hop_ms`, the time between two of them.
    """
    part = metadata.window_s / duration_s
    frames = round((metadata.frames - 1) * part) + 1
    return {
        "left": round(metadata.shown_columns * shown_from_s / duration_s, 2),
        "width": round(metadata.shown_columns * part, 2),
        "frames": frames,
        "hop_ms": round(1000 * metadata.window_s / (frames - 1)),
    }


def activations(
    index: ArchiveIndex, metadata: RenderMetadata, url_of: Callable[[str], str]
) -> dict[str, Any]:
    """Return the feature maps of one window, each with the URL of its picture.

    Parameters
    ----------
    url_of : callable
        Returns the URL of a picture by name.

    Returns
    -------
    dict
        `stages`: in data flow order; each has `map` (the mean of its channels), `stride` and
        `blocks` (before and after ReLU).
        `pooled`: the pooled features.
        `logits`: the highest of the window.
    """
    views = {
        one.name: asdict(one) | {"title": _title(one.name), "url": url_of(one.name)}
        for one in index.maps
    }
    pooled = index.pooled
    return {
        "stages": [
            {
                "name": stage,
                "map": views[stage],
                "stride": stride(metadata.mels, views[stage]["shape"][0]),
                "blocks": [view for name, view in views.items() if name.startswith(f"{stage}.")],
            }
            for stage in STAGES
            if stage in views
        ],
        "pooled": asdict(pooled) | {"channels": prod(pooled.shape), "url": url_of("pooled")},
        "logits": index.logits,
    }


def stride(mels: int, rows: int) -> int:
    """Return how many bands and frames lie between two neighbouring cells of a map.

    Parameters
    ----------
    mels, rows : int
        Rows of the spectrogram and of the map, which is halved a whole number of times.
    """
    return 2 ** round(log2(mels / rows))


def explanation(
    index: ExplanationIndex,
    url_of: Callable[[str], str],
    examples_of: Callable[[str, int], Sequence[Example]],
) -> dict[str, Any]:
    """Return the attribution and the strongest channels of a class, with the URL of each picture.

    Parameters
    ----------
    url_of : callable
        Returns the URL of a picture by name.
    examples_of : callable
        Returns the training clips that excite a channel of a stage most.

    Returns
    -------
    dict
        `url`: of the picture of the attribution.
        `stages`: in data flow order; each has `channels`, those that contribute most.
    """

    def channel(stage: str, rank: int, one: ChannelInfo) -> dict[str, Any]:
        title = f"{stage}, channel {one.number}"
        return asdict(one) | {
            "title": title,
            "channels": 1,
            "url": url_of(f"{stage}.top{rank}"),
            "examples": examples_of(stage, one.number),
        }

    return {
        "url": url_of("attribution"),
        "stages": [
            {"name": name, "channels": [channel(name, *row) for row in enumerate(channels)]}
            for name, channels in index.strongest.items()
        ],
    }


def choices(
    analysis: Analysis,
    metadata: RenderMetadata,
    window: int,
    index: ArchiveIndex | None,
    label: str = "",
) -> list[Choice]:
    """Return the best classes of the window that the page shows.

    Parameters
    ----------
    window : int
        Number of the window, from 0.
    index : ArchiveIndex or None
        Of the window's activations. Without them only its best class is known.
    label : str
        A class that is among them in any case; last, if it is not one of the best.
    """
    if not metadata.window_predictions:
        best = [(one["class"], one["confidence"]) for one in analysis.predictions[:BEST_CLASSES]]
    elif index:
        best = [(one.label, one.confidence) for one in index.logits[:BEST_CLASSES]]
    else:
        first = metadata.window_predictions[window]
        best = [(first.label, first.confidence)]
    if label and label not in (name for name, _ in best):
        best = [*best[: BEST_CLASSES - 1], (label, None)]
    return [Choice(number, *one) for number, one in enumerate(best, 1)]


def _title(name: str) -> str:
    """Return a readable name: layer1 → layer1; layer1.block0.conv → layer1 block 1, before ReLU."""
    if "." not in name:
        return name
    layer, block, part = name.split(".")
    number = int(block.removeprefix("block")) + 1
    return f"{layer} block {number}, {'before ReLU' if part == 'conv' else 'after ReLU'}"
