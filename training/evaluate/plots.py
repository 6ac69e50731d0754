"""The figures of an evaluation: confusion matrix and reliability diagram."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from ml.evaluation import Calibration
from training.figures import FAINT, INK, figure

# Both remain distinct when the Models page inverts the lightness in the dark.
BAR, MARK = "#807c88", "#b4400c"


def words(label: str) -> str:
    return label.replace("_", " ")


def confusion(table: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Draw the confusion matrix as a square figure, coloured by the share of the row.

    Parameters
    ----------
    table : (classes, classes) counts, rows by label and columns by prediction
    """
    count = len(classes)
    side_in = 3.2 + 0.18 * count
    drawn = figure(side_in, side_in)
    axes = drawn.subplots()
    shares = table / table.sum(axis=1, keepdims=True).clip(1)
    # The limits leave out the palest colours, so that a single clip stands out from the paper.
    axes.imshow(np.ma.masked_equal(shares, 0), cmap="magma_r", vmin=-0.25, vmax=1.15)
    for row, column in np.argwhere(table):
        ink = "white" if shares[row, column] > 0.3 else INK
        axes.text(column, row, str(table[row, column]), color=ink, size=7, ha="center", va="center")
    names = [words(name) for name in classes]
    axes.set_xticks(range(count), names, rotation=90, size=8)
    axes.set_yticks(range(count), names, size=8)
    axes.set_xticks(np.arange(0.5, count - 1), minor=True)
    axes.set_yticks(np.arange(0.5, count - 1), minor=True)
    axes.tick_params(which="both", length=0, bottom=False, labelbottom=False, labeltop=True)
    axes.grid(which="minor", color=FAINT, linewidth=0.4)
    axes.set_xlabel("predicted class", labelpad=8)
    axes.xaxis.set_label_position("top")
    axes.set_ylabel("true class")
    return drawn


def reliability(shown: Calibration) -> Figure:
    """Draw the accuracy and the number of predictions in each bin of confidence."""
    drawn = figure(5.8, 7.3)
    above, below = drawn.subplots(2, sharex=True, height_ratios=[4, 1])
    used = [bin for bin in shown.bins if bin.clips]
    middles = np.array([(bin.low + bin.high) / 2 for bin in used])
    half = 0.45 / len(shown.bins)
    above.bar(middles, [bin.accuracy or 0 for bin in used], 2 * half, color=BAR, label="accuracy")
    confidences = [bin.confidence or 0 for bin in used]
    above.hlines(confidences, middles - half, middles + half, MARK, lw=3, label="mean confidence")
    above.plot([0, 1], [0, 1], color=INK, lw=1, label="perfect calibration")
    low, high = shown.band
    above.set_title(f"ECE {shown.ece:.1%} (perfect calibration: {low:.1%} to {high:.1%})", size=11)
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    above.yaxis.set_major_formatter(PercentFormatter(1))
    above.grid(color=FAINT, linewidth=0.6)
    above.set_axisbelow(True)
    counts = below.bar(middles, [bin.clips for bin in used], 2 * half, color=FAINT)
    below.bar_label(counts, size=8)
    below.margins(y=0.2)
    below.set(xlabel="confidence", ylabel="clips")
    below.xaxis.set_major_formatter(PercentFormatter(1))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    drawn.align_ylabels()
    drawn.legend(loc="outside lower center", ncols=3, frameon=False)
    return drawn
