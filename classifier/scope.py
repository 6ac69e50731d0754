"""Where things lie on the result page's pictures: plain numbers for the template."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

STAGES = ("conv1", "layer1", "layer2", "layer3", "layer4")
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120)
MOST_TICKS = 10
CLOSEST_TICKS = 0.06


@dataclass(frozen=True, slots=True)
class Tick:
    """`place` is a percentage of the axis, from the left or from the top."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class MapView:
    name: str
    title: str
    url: str
    height: int
    width: int
    channels: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class StageView:
    map: MapView
    blocks: list[MapView]


def time_ticks(duration_s: float) -> list[Tick]:
    """Round seconds, at most eleven of them."""
    step = next((s for s in _STEPS_S if duration_s / s <= MOST_TICKS), _STEPS_S[-1])
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


def stages(maps: list[dict[str, Any]], url_of: Callable[[str], str]) -> list[StageView]:
    """The network's stages in the order data flows, each with its blocks' maps."""
    by_name = {facts["name"]: facts for facts in maps}

    def view(name: str, title: str) -> MapView:
        facts = by_name[name]
        height, width = facts["shape"]
        return MapView(
            name, title, url_of(name), height, width,
            facts["channels"], facts["low"], facts["high"],
        )  # fmt: skip

    return [
        StageView(
            view(stage, stage),
            [view(name, _block_title(name)) for name in by_name if name.startswith(f"{stage}.")],
        )
        for stage in STAGES
        if stage in by_name
    ]


def _block_title(name: str) -> str:
    """layer1.block0.conv → block 1, before ReLU"""
    _, block, part = name.split(".")
    number = int(block.removeprefix("block")) + 1
    return f"block {number}, {'before ReLU' if part == 'conv' else 'after ReLU'}"
