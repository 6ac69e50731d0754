"""Write the results of tools.bench.faithfulness to docs/explanations.md: tables and a picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml.explain.verdict import Verdict
from training.figures import INK, figure, save

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENT, PICTURE = DOCS / "explanations.md", DOCS / "explanations.png"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
NAMES = {
    Verdict.CONVINCING: "convincing",
    Verdict.SPREAD: "spread over the whole sound",
    Verdict.NOT_RELIABLE: "not reliable",
    Verdict.NOT_PREDICTED: "not predicted",
}
PUBLISHED = ("AI", "AD", "AG", "FF", "Fid-In", "SPS", "COMP")
RANGE_DB = 70  # of the spectrograms in the picture
CONTOUR, DIMMED = "#ff9f1c", 0.72


@dataclass(frozen=True, slots=True)
class Shown:
    """A clip in the picture.

    Attributes
    ----------
    decibels : (mels, frames) spectrogram
    mask : (H, W) in [0, 1]
    whole, part, rest : probability of the label in the sound, under the mask, and in the rest
    """

    label: str
    verdict: Verdict
    decibels: NDArray[np.float32]
    mask: NDArray[np.float32]
    whole: float
    part: float
    rest: float


def write(report: dict[str, Any], shown: list[Shown]) -> None:
    text = DOCUMENT.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n{tables(report)}\n{END}{after}")
    save(picture(shown), PICTURE, colours=128)


def tables(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    seen = ", ".join(map(str, report["folds seen"]))
    methods = report["methods"]
    rows = [
        f"Weights `{report['checkpoint']}` and their decoder, both trained on folds {seen}; all "
        f"{report['clips']} clips of fold {report['fold']}; {report['machine']}. The mean "
        f"probability of the prediction is {report['before']:.3f} for the whole sounds.",
        "",
        "| method | part keeps | rest keeps | convincing | mask area | own half "
        "| absent class found | CPU time per map, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in methods.items():
        rows.append(
            f"| {name} | {one['part keeps']:.3f} | {one['rest keeps']:.3f} "
            f"| {percent(one['convincing'])} | {one['mask area']:.3f} | {percent(one['own half'])} "
            f"| {percent(one['absent'])} | {one['milliseconds']:.1f} |"
        )
    rows += [
        "",
        f"| method | {' | '.join(PUBLISHED)} |",
        f"|---|{'---|' * len(PUBLISHED)}",
        *(
            f"| {name} | {' | '.join(f'{one[key]:.2f}' for key in PUBLISHED)} |"
            for name, one in methods.items()
        ),
        "",
        "| verdict | mask decoder | gradients, without a decoder |",
        "|---|---|---|",
    ]
    ours, gradients = methods["mask decoder"], methods["gradients, without a decoder"]
    rows += [
        f"| {name} | {percent(ours[verdict.value])} | {percent(gradients[verdict.value])} |"
        for verdict, name in NAMES.items()
    ]
    changed = ", ".join(f"{value:.2f} for {name}" for name, value in report["randomised"].items())
    rows += [
        "",
        "Correlation of the decoder's masks with those of a network whose weights were shuffled: "
        f"{changed}.",
        "",
        f"![Spectrograms with masks, two for each verdict]({PICTURE.name})",
    ]
    return "\n".join(rows)


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def picture(shown: list[Shown]) -> Figure:
    """Draw clips of each verdict: what is under the mask, and everything else dimmed."""
    columns = 2
    drawn = figure(11, 2.6 * -(-len(shown) // columns))
    places = drawn.subplots(-(-len(shown) // columns), columns, squeeze=False).flat
    for axes, one in zip(places, shown, strict=False):
        mels, frames = one.decibels.shape
        top = one.decibels.max()
        level = ((one.decibels - top) / RANGE_DB + 1).clip(0, 1)
        place = [
            ((np.arange(count) + 0.5) * cells / count).astype(int).clip(0, cells - 1)
            for count, cells in zip((mels, frames), one.mask.shape, strict=True)
        ]
        mask = one.mask[np.ix_(*place)]
        axes.imshow(
            level * (1 - DIMMED * (1 - mask)), origin="lower", aspect="auto", cmap="gray",
            vmin=0, vmax=1, extent=(0, 5, 0, mels),
        )  # fmt: skip
        if mask.min() < 0.5 < mask.max():
            axes.contour(mask, [0.5], colors=CONTOUR, linewidths=1, extent=(0, 5, 0, mels))
        axes.set_title(
            f"{one.label.replace('_', ' ')}: {NAMES[one.verdict]}\n{one.whole:.0%} whole, "
            f"{one.part:.0%} part, {one.rest:.0%} rest", fontsize=9, color=INK,
        )  # fmt: skip
        axes.set(xlabel="s", yticks=[])
    return drawn
