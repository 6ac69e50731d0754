"""Write the results of tools.bench.faithfulness to docs/attribution.md as a table and a picture."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from training.figures import FAINT, INK, figure, save

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENT, PICTURE = DOCS / "attribution.md", DOCS / "faithfulness.png"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9")
CONTROL = "#807c88"


def write(report: dict[str, Any]) -> None:
    text = DOCUMENT.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table(report)}\n{END}{after}")
    save(picture(report), PICTURE)


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    bar = report["shares"].index(0.2)
    seen = ", ".join(map(str, report["folds seen"]))
    rows = [
        f"Weights `{report['checkpoint']}` (trained on folds {seen}); {report['clips']} clips of "
        f"fold {report['fold']}, {report['clips without silence']} of them without long digital"
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
        "Results for the first row, by group of clips (compared with blocks · moved):",
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
        f"{percent(played['mean of the mask'])}), the mean probability is "
        f"{played['kept']:.3f} for the attribution alone and {played['rest']:.3f} for "
        f"the rest. The attribution keeps more than half of the probability in "
        f"{percent(played['kept keeps half'])} of the clips, and the rest loses "
        f"more than half in {percent(played['rest loses half'])}.",
        "",
        "![Probability of the prediction by the share of cells removed, and by the share kept]"
        f"({PICTURE.name})",
    ]
    return "\n".join(rows)


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def picture(report: dict[str, Any]) -> Figure:
    """Draw the probability of the prediction by what was removed and by what was kept."""
    named = {**report["methods"], "random blocks": report["random blocks"]}
    before = report["before"]
    drawn = figure(9.6, 5.2)
    removed, kept = drawn.subplots(1, 2, sharex=True, sharey=True)
    removed.set_title("Highest-ranked cells removed")
    kept.set_title("Only the highest-ranked cells kept")
    for axes, what, start in ((removed, "rest", before), (kept, "kept", 0.0)):
        for (name, one), colour in zip(named.items(), colours(len(named)), strict=True):
            axes.plot(
                [0, *report["shares"]], [start, *one[what]], color=colour, marker="o", ms=4,
                lw=3.5 if name == "attribution" else 1.6, label=name, clip_on=False,
            )  # fmt: skip
        axes.axhline(before, color=INK, lw=1, ls="--", label="whole sound")
        axes.set(xlabel="share of the spectrogram's cells", xlim=(0, 0.5), ylim=(0, 1))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(color=FAINT, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    removed.set_ylabel("mean probability of the prediction")
    handles, labels = removed.get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return drawn


def colours(count: int) -> list[str]:
    """Return colours that colour-blind readers can distinguish (Okabe and Ito, 2008).

    The last one, for the control, is grey.
    """
    return [COLOURS[number % len(COLOURS)] for number in range(count - 1)] + [CONTROL]
