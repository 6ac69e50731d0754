"""Positions of elements on the pictures of the result page, as plain numbers for the template."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from ml.checkpoint_info import STAGES
from ml.render_metadata import ArchiveIndex, ChannelInfo, FrequencyTick, RenderMetadata

_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120)
MAX_TICKS = 10
CLOSEST_TICKS = 0.06
# A clip that exceeds one window by less than this is shown as one window.
MIN_REST_S = 0.25
# Width that a label needs, in percent of the strip.
NAME_ROOM = 8


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
class Slot:
    """A window on the strip of a long clip, from its start to the start of the next window.

    Attributes
    ----------
    number : int
        Number of the window, from 0.
    place, width : float
        Percentages of the clip.
    confidence : float
        Confidence of the label, 0 to 1.
    name : str
        The label, set only on the first of consecutive windows with the same label and only if
        there is room; otherwise "".
    """

    number: int
    place: float
    width: float
    start_s: float
    label: str
    confidence: float
    name: str


def time_ticks(duration_s: float) -> list[Tick]:
    """Return ticks at round seconds, at most eleven."""
    step = next((s for s in _STEPS_S if duration_s / s <= MAX_TICKS), _STEPS_S[-1])
    count = int(duration_s / step + 1e-9)
    return [Tick(round(100 * i * step / duration_s, 3), f"{i * step:g}") for i in range(count + 1)]


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
        `left` and `width` in columns of the spectrogram, and `frames`, the number of frames.
    """
    part = metadata.window_s / duration_s
    return {
        "left": round(metadata.shown_columns * shown_from_s / duration_s, 2),
        "width": round(metadata.shown_columns * part, 2),
        "frames": round((metadata.frames - 1) * part) + 1,
    }


def activations(
    index: ArchiveIndex, url_of: Callable[[str], str], sounds: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the feature maps and attributions of one window, each with the URL of its picture.

    Parameters
    ----------
    url_of : callable
        Returns the URL of a picture by name.
    sounds : mapping of str to dict
        Context of `_inspection.html` by label, for labels with a finished sound inspection.

    Returns
    -------
    dict
        `attribution`: one for each of the best predictions, in their order; its `sound` is the
        context from `sounds`, or None.
        `stages`: in data flow order; each has `map` (the mean of its channels), `blocks` (before
        and after ReLU) and `strongest` (the channels that contribute most to the prediction).
        `pooled`: the pooled features.
    """
    found, pooled = index.activations, index.activations.pooled
    views = {
        one.name: asdict(one) | {"title": _title(one.name), "url": url_of(one.name)}
        for one in index.maps
    }

    def channel(stage: str, rank: int, one: ChannelInfo) -> dict[str, Any]:
        view = views[stage] | asdict(one) | {"channels": 1, "url": url_of(f"{stage}.top{rank}")}
        return view | {"title": f"{stage}, channel {one.number}"}

    return {
        "attribution": [
            asdict(one) | {"url": url_of(f"attribution.{rank}"), "sound": sounds.get(one.label)}
            for rank, one in enumerate(found.attribution)
        ],
        "stages": [
            {
                "name": stage,
                "map": views[stage],
                "blocks": [view for name, view in views.items() if name.startswith(f"{stage}.")],
                "strongest": [channel(stage, *row) for row in enumerate(found.strongest[stage])],
            }
            for stage in STAGES
            if stage in views
        ],
        "pooled": asdict(pooled) | {"channels": prod(pooled.shape), "url": url_of("pooled")},
    }


def slots(metadata: RenderMetadata, duration_s: float) -> list[Slot]:
    """Return the windows side by side; empty if the clip is hardly longer than one window."""
    windows = metadata.window_predictions
    if not windows or duration_s < metadata.window_s + MIN_REST_S:
        return []

    def percent(seconds: float) -> float:
        return 100 * seconds / duration_s

    ends_s = [window.start_s for window in windows[1:]] + [duration_s]
    found: list[Slot] = []
    for number, (window, end_s) in enumerate(zip(windows, ends_s, strict=True)):
        start_s, label = window.start_s, window.label
        first = not number or windows[number - 1].label != label
        others_s = (later.start_s for later in windows[number:] if later.label != label)
        wide = percent(next(others_s, duration_s) - start_s) >= NAME_ROOM
        place, width = round(percent(start_s), 3), round(percent(end_s - start_s), 3)
        name = label if first and wide else ""
        found.append(Slot(number, place, width, start_s, label, window.confidence, name))
    return found


def _title(name: str) -> str:
    """Return a readable name: layer1 → layer1; layer1.block0.conv → layer1 block 1, before ReLU."""
    if "." not in name:
        return name
    layer, block, part = name.split(".")
    number = int(block.removeprefix("block")) + 1
    return f"{layer} block {number}, {'before ReLU' if part == 'conv' else 'after ReLU'}"
