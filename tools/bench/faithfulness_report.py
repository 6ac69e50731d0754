"""Write the results of tools.bench.faithfulness to docs/attribution.md as a table and a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENT, PICTURE = DOCS / "attribution.md", DOCS / "faithfulness.png"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
COLOURS = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (86, 180, 233))
INK, FAINT, WHITE = (24, 20, 40), (196, 192, 204), (255, 255, 255)
LEFT, TOP, SIDE, GAP = 70, 60, 380, 90


def write(report: dict[str, Any]) -> None:
    text = DOCUMENT.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table(report)}\n{END}{after}")
    picture(report).quantize(64).save(PICTURE, optimize=True)


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    bar = report["shares"].index(0.2)
    seen = ", ".join(map(str, report["folds seen"]))
    rows = [
        f"Weights `{report['checkpoint']}` (folds seen: {seen}); {report['clips']} clips of fold "
        f"{report['fold']}, {report['clips without silence']} of them without long digital"
        f" silence; "
        f"one thread of an {report['machine']}. The mean probability of the prediction is "
        f"{report['before']:.3f} for the unchanged sounds.",
        "",
        "| method | 20 % removed | only 20 % kept | removed: lower than with blocks · moved "
        "| kept: higher than with blocks · moved | attribution in its own half "
        "| CPU time per map, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in report["methods"].items():
        won = [
            " · ".join(percent(one[what][control]["all"]) for control in ("blocks", "moved"))
            for what in ("removing does more", "keeping does more")
        ]
        rows.append(
            f"| {name} | {one['rest'][bar]:.3f} | {one['kept'][bar]:.3f} | {won[0]} | {won[1]} "
            f"| {percent(report['in own half'][name])} | {one['milliseconds']:.0f} |"
        )
    blocks = report["random blocks"]
    rows += [
        f"| random blocks | {blocks['rest'][bar]:.3f} | {blocks['kept'][bar]:.3f} | | | | |",
        "",
        "The first row by groups of clips (compared with blocks · moved):",
        "",
        "| clips | removed: lower | kept: higher |",
        "|---|---|---|",
    ]
    first = report["methods"]["attribution"]
    names = {
        "all": "all",
        "chosen with": "the first 80, used to choose the method",
        "others": "the others",
        "without silence": "without long digital silence",
    }
    for group, name in names.items():
        won = [
            " · ".join(percent(first[what][control][group]) for control in ("blocks", "moved"))
            for what in ("removing does more", "keeping does more")
        ]
        rows.append(f"| {name} | {won[0]} | {won[1]} |")
    played = report["played"]
    rows += [
        "",
        f"With the mask for playback (soft edges, mean weight "
        f"{percent(played['mean of the mask'])}), the probability is {played['kept']:.3f} for the "
        f"attribution alone and {played['rest']:.3f} for the rest. The attribution keeps more than "
        f"half of the probability in {percent(played['kept keeps half'])} of the clips, and the "
        f"rest loses more than half in {percent(played['rest loses half'])}.",
        "",
        "![Probability of the prediction by the share of cells removed, and by the share kept]"
        f"({PICTURE.name})",
    ]
    return "\n".join(rows)


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def picture(report: dict[str, Any]) -> Image.Image:
    """Draw the probability of the prediction by what was removed and by what was kept."""
    named = {**report["methods"], "random blocks": report["random blocks"]}
    image = Image.new("RGB", (LEFT + 2 * SIDE + GAP + 30, TOP + SIDE + 62 + 20 * len(named)), WHITE)
    pen = ImageDraw.Draw(image)
    ends = {"rest": (report["before"], 0.0), "kept": (0.0, report["before"])}
    titles = {"rest": "what spoke most is removed", "kept": "only what spoke most is kept"}
    for place, what in enumerate(("rest", "kept")):
        left = LEFT + place * (SIDE + GAP)
        _frame(pen, left, titles[what], report["before"])
        for number, (name, one) in enumerate(named.items()):
            shares, values = [0.0, *report["shares"]], [ends[what][0], *one[what]]
            _curve(pen, left, shares, values, number, len(named), name == "attribution")
    for number, name in enumerate(named):
        y = TOP + SIDE + 66 + 20 * number
        pen.line((LEFT, y, LEFT + 30, y), _colour(number, len(named)), 5 if number == 0 else 2)
        pen.text((LEFT + 40, y), name, INK, _font(13), anchor="lm")
    return image


def _frame(pen: ImageDraw.ImageDraw, left: int, title: str, before: float) -> None:
    pen.text((left, TOP - 16), title, INK, _font(16), anchor="ls")
    for tick in range(6):
        x, y = left + tick / 5 * SIDE, TOP + SIDE - tick / 5 * SIDE
        pen.line((left, y, left + SIDE, y), FAINT)
        pen.text((left - 8, y), f"{tick / 5:.1f}", INK, _font(13), anchor="rm")
        pen.text((x, TOP + SIDE + 8), f"{tick * 10} %", INK, _font(13), anchor="mt")
    pen.text((left + SIDE / 2, TOP + SIDE + 28), "share of the spectrogram's cells", INK,
             _font(13), anchor="mt")  # fmt: skip
    y = TOP + SIDE * (1 - before)
    pen.text((left + SIDE, y - 4), "whole sound", INK, _font(12), anchor="rb")
    pen.line((left, y, left + SIDE, y), INK)


def _curve(
    pen: ImageDraw.ImageDraw,
    left: int,
    shares: Sequence[float],
    values: Sequence[float],
    number: int,
    count: int,
    thick: bool,
) -> None:
    points = [
        (left + 2 * share * SIDE, TOP + SIDE * (1 - value))
        for share, value in zip(shares, values, strict=True)
    ]
    pen.line(points, _colour(number, count), 5 if thick else 2, joint="curve")


def _colour(number: int, count: int) -> tuple[int, int, int]:
    """Return a colour that colour-blind readers can distinguish (Okabe and Ito, 2008).

    The last curve, the control, is grey.
    """
    return (128, 124, 136) if number == count - 1 else COLOURS[number % len(COLOURS)]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
