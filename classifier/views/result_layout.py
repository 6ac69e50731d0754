"""Where things lie on the result page's pictures: plain numbers for the template."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml.checkpoint_info import STAGES
from ml.render_metadata import ActivationsInfo, ArchiveIndex, FrequencyTick, RenderMetadata

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
    """One picture of numbers: a mean map, or one channel of it. shape: (height, width)."""

    name: str
    title: str
    url: str
    shape: tuple[int, int]
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

    shape: (height, width) · sound: what `_inspection.html` needs of the sounds made of it, {}
    before anybody asked.
    """

    label: str
    logit: float
    shape: tuple[int, int]
    url: str
    sound: Mapping[str, Any]


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


def frequency_ticks(ticks: Sequence[FrequencyTick]) -> list[Tick]:
    """From low to high, leaving out those whose labels would touch."""
    kept: list[FrequencyTick] = []
    for tick in ticks:
        if not kept or tick.place - kept[-1].place >= CLOSEST_TICKS:
            kept.append(tick)
    return [
        Tick(
            round(100 - 100 * tick.place, 3),
            f"{tick.hz / 1000:g}k" if tick.hz >= 1000 else f"{tick.hz:g}",
        )
        for tick in kept
    ]


def window_of(metadata: RenderMetadata, asked: str) -> int:
    """The window that is asked for, or the one that is shown to who asks for none that exists."""
    if asked.isascii() and asked.isdigit() and len(asked) < 6:
        window = int(asked)
        if window < metadata.window_count:
            return window
    return metadata.shown_window


def attribution(
    activations: ActivationsInfo,
    url_of: Callable[[str], str],
    sounds: Mapping[str, Mapping[str, Any]],
) -> list[Attribution]:
    """Of the best answers in their order. sounds: by label, of those that were asked for."""
    return [
        Attribution(
            one.label, one.logit, one.shape, url_of(f"attribution.{rank}"),
            sounds.get(one.label, {}),
        )
        for rank, one in enumerate(activations.attribution)
    ]  # fmt: skip


def pooled(activations: ActivationsInfo, url_of: Callable[[str], str]) -> MapView:
    one = activations.pooled
    channels = one.shape[0] * one.shape[1]
    return MapView("pooled", "pooled", url_of("pooled"), one.shape, channels, one.low, one.high)


def input_place(metadata: RenderMetadata, shown_from_s: float, duration_s: float) -> Input:
    """A short clip is shown with the silence after it."""
    part = metadata.window_s / duration_s
    left = metadata.shown_columns * shown_from_s / duration_s
    frames = round((metadata.frames - 1) * part) + 1
    return Input(round(left, 2), round(metadata.shown_columns * part, 2), frames)


def stages(index: ArchiveIndex, url_of: Callable[[str], str]) -> list[StageView]:
    """The network's stages in the order data flows, each with its blocks and channels."""
    by_name = {one.name: one for one in index.maps}

    def view(name: str, title: str) -> MapView:
        one = by_name[name]
        return MapView(name, title, url_of(name), one.shape, one.channels, one.low, one.high)

    def strongest(stage: str) -> list[MapView]:
        return [
            MapView(
                stage, f"{stage}, channel {one.number}", url_of(f"{stage}.top{rank}"),
                by_name[stage].shape, 1, one.low, one.high, one.contribution,
            )
            for rank, one in enumerate(index.activations.strongest[stage])
        ]  # fmt: skip

    return [
        StageView(
            stage,
            view(stage, stage),
            [view(name, _block_title(name)) for name in by_name if name.startswith(f"{stage}.")],
            strongest(stage),
        )
        for stage in STAGES
        if stage in by_name
    ]


def slots(metadata: RenderMetadata, duration_s: float) -> list[Slot]:
    """The windows side by side; none where they are nearly one."""
    windows = metadata.window_predictions
    if not windows or duration_s < metadata.window_s + MIN_REST_S:
        return []
    ends_s = [window.start_s for window in windows[1:]] + [duration_s]
    found: list[Slot] = []
    for number, (window, end_s) in enumerate(zip(windows, ends_s, strict=True)):
        start_s, label = window.start_s, window.label
        first = not number or windows[number - 1].label != label
        until_s = next(
            (later.start_s for later in windows[number:] if later.label != label), duration_s
        )
        wide = 100 * (until_s - start_s) / duration_s >= NAME_ROOM
        found.append(
            Slot(
                number,
                round(100 * start_s / duration_s, 3),
                round(100 * (end_s - start_s) / duration_s, 3),
                start_s,
                label,
                window.confidence,
                label if first and wide else "",
            )
        )
    return found


def _block_title(name: str) -> str:
    """layer1.block0.conv → layer1 block 1, before ReLU"""
    layer, block, part = name.split(".")
    number = int(block.removeprefix("block")) + 1
    return f"{layer} block {number}, {'before ReLU' if part == 'conv' else 'after ReLU'}"
