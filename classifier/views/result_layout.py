"""Where things lie on the result page's pictures: plain numbers for the template."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

STAGES = ("conv1", "layer1", "layer2", "layer3", "layer4")
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120)
MAX_TICKS = 10
CLOSEST_TICKS = 0.06
# A clip that is hardly longer than a window is shown as one.
MIN_REST_S = 0.25
# Percentages of the strip that a label takes.
NAME_ROOM = 8


@dataclass(frozen=True, slots=True)
class Tick:
    """`place` is a percentage of the axis, from the left or from the top."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class MapView:
    """One picture of numbers: a mean map, or one channel of it."""

    name: str
    title: str
    url: str
    height: int
    width: int
    channels: int
    low: float
    high: float
    contribution: float | None = None


@dataclass(frozen=True, slots=True)
class StageView:
    """name: as the checkpoint calls it · map: the mean of its channels · blocks: before and after
    ReLU · strongest: the channels that spoke most for the answer."""

    name: str
    map: MapView
    blocks: list[MapView]
    strongest: list[MapView]


@dataclass(frozen=True, slots=True)
class Attribution:
    """What spoke for one class in the window shown; logit: of that class there.

    sound: what `_inspection.html` needs of the sounds made of it, {} before anybody asked.
    """

    label: str
    logit: float
    url: str
    height: int
    width: int
    sound: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """The part of the clip's spectrogram that the network was shown; left, width: in columns."""

    left: float
    width: float
    frames: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A window on the strip of a long clip, from its start to the next one's.

    place, width: percentages of the clip · name: its label, on the first of a run of windows with
    the same one, where there is room for it.
    """

    number: int
    place: float
    width: float
    start_s: float
    label: str
    confidence: float
    name: str


def time_ticks(duration_s: float) -> list[Tick]:
    """Round seconds, at most eleven of them."""
    step = next((s for s in _STEPS_S if duration_s / s <= MAX_TICKS), _STEPS_S[-1])
    count = int(duration_s / step + 1e-9)
    return [Tick(round(100 * i * step / duration_s, 3), f"{i * step:g}") for i in range(count + 1)]


def frequency_ticks(ticks: list[dict[str, float]]) -> list[Tick]:
    """From low to high, leaving out those whose labels would touch."""
    kept: list[dict[str, float]] = []
    for tick in ticks:
        if not kept or tick["place"] - kept[-1]["place"] >= CLOSEST_TICKS:
            kept.append(tick)
    return [
        Tick(
            round(100 - 100 * tick["place"], 3),
            f"{tick['hz'] / 1000:g}k" if tick["hz"] >= 1000 else f"{tick['hz']:g}",
        )
        for tick in kept
    ]


def band_centres_hz(f_min_hz: float, f_max_hz: float, mels: int, scale: str) -> list[int]:
    """The middle of each mel band, lowest first: `ml.features` makes its bank by these."""
    to_mel, to_hz = (_slaney, _slaney_hz) if scale == "slaney" else (_htk, _htk_hz)
    low, high = to_mel(f_min_hz), to_mel(f_max_hz)
    step = (high - low) / (mels + 1)
    return [round(to_hz(low + step * band)) for band in range(1, mels + 1)]


def bands(payload: dict[str, Any]) -> list[int]:
    """Band centres in Hz, lowest first; empty where the result does not say them."""
    if "mel_scale" not in payload:
        return []
    return band_centres_hz(
        payload["f_min_hz"], payload["f_max_hz"], payload["mels"], payload["mel_scale"]
    )


def window_of(payload: dict[str, Any], asked: str) -> int:
    """The window that is asked for, or the one that is shown to who asks for none that exists."""
    there = len(payload.get("window_predictions", ()))
    if asked.isascii() and asked.isdigit() and len(asked) < 6 and int(asked) < there:
        return int(asked)
    return payload.get("shown_window", 0)


def start_of(payload: dict[str, Any], window: int) -> float:
    """Where a window begins, in seconds."""
    if window == payload.get("shown_window", 0):
        return payload["shown_from_s"]
    return payload["window_predictions"][window]["start_s"]


def attribution(
    activations: dict[str, Any], url_of: Callable[[str], str], sounds: dict[str, dict[str, Any]]
) -> list[Attribution]:
    """Of the best answers in their order; none in analyses from before there was any."""
    return [
        Attribution(
            one["label"],
            one["logit"],
            url_of(f"attribution.{rank}"),
            one["shape"][0],
            one["shape"][1],
            sounds.get(one["label"], {}),
        )
        for rank, one in enumerate(activations.get("attribution", ()))
    ]


def pooled(activations: dict[str, Any], url_of: Callable[[str], str]) -> dict[str, Any] | None:
    if "pooled" not in activations:
        return None
    rows, columns = activations["pooled"]["shape"]
    return {**activations["pooled"], "channels": rows * columns, "url": url_of("pooled")}


def input_place(payload: dict[str, Any], shown_from_s: float, duration_s: float) -> Input:
    """told: an analysis' render metadata. A short clip is shown with the silence after it."""
    part = payload["window_s"] / duration_s
    columns = payload["shown_columns"]
    frames = round((payload["frames"] - 1) * payload["window_s"] / duration_s) + 1
    left = columns * shown_from_s / duration_s
    return Input(round(left, 2), round(columns * part, 2), frames)


def stages(
    maps: list[dict[str, Any]],
    strongest: dict[str, list[dict[str, Any]]],
    url_of: Callable[[str], str],
) -> list[StageView]:
    """The network's stages in the order data flows, each with its blocks and channels.

    strongest: by stage; empty in analyses from before there were any.
    """
    by_name = {facts["name"]: facts for facts in maps}

    def view(name: str, title: str) -> MapView:
        facts = by_name[name]
        height, width = facts["shape"]
        return MapView(
            name, title, url_of(name), height, width,
            facts["channels"], facts["low"], facts["high"],
        )  # fmt: skip

    def channel(stage: str, rank: int, facts: dict[str, Any]) -> MapView:
        height, width = by_name[stage]["shape"]
        return MapView(
            stage, f"{stage}, channel {facts['number']}", url_of(f"{stage}.top{rank}"),
            height, width, 1, facts["low"], facts["high"], facts["contribution"],
        )  # fmt: skip

    return [
        StageView(
            stage,
            view(stage, stage),
            [view(name, _block_title(name)) for name in by_name if name.startswith(f"{stage}.")],
            [channel(stage, rank, facts) for rank, facts in enumerate(strongest.get(stage, ()))],
        )
        for stage in STAGES
        if stage in by_name
    ]


def slots(payload: dict[str, Any], duration_s: float) -> list[Slot]:
    """The windows side by side; none where they are nearly one."""
    window_predictions = payload.get("window_predictions", [])
    if not window_predictions or duration_s < payload["window_s"] + MIN_REST_S:
        return []
    ends_s = [window["start_s"] for window in window_predictions[1:]] + [duration_s]
    found: list[Slot] = []
    for number, (window, end_s) in enumerate(zip(window_predictions, ends_s, strict=True)):
        start_s, label = window["start_s"], window["label"]
        first = not number or window_predictions[number - 1]["label"] != label
        until_s = next(
            (later["start_s"] for later in window_predictions[number:] if later["label"] != label),
            duration_s,
        )
        wide = 100 * (until_s - start_s) / duration_s >= NAME_ROOM
        found.append(
            Slot(
                number,
                round(100 * start_s / duration_s, 3),
                round(100 * (end_s - start_s) / duration_s, 3),
                start_s,
                label,
                window["confidence"],
                label if first and wide else "",
            )
        )
    return found


def _block_title(name: str) -> str:
    """layer1.block0.conv → layer1 block 1, before ReLU"""
    layer, block, part = name.split(".")
    number = int(block.removeprefix("block")) + 1
    return f"{layer} block {number}, {'before ReLU' if part == 'conv' else 'after ReLU'}"


def _htk(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


def _htk_hz(mel: float) -> float:
    return 700 * (10 ** (mel / 2595) - 1)


# Slaney's scale: linear below 1,000 Hz, from there 27 mels for each factor of 6.4.
def _slaney(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def _slaney_hz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)
