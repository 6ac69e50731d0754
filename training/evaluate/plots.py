"""Diagrams as PNG images, drawn with Pillow in the palette of the spectrograms."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ml.evaluation import Calibration
from ml.rendering.png import PALETTE
from training.evaluate.calibration import BINS

INK, FAINT, PAPER = (24, 20, 40), (196, 192, 204), (255, 255, 255)
COLOURS = [tuple(PALETTE[3 * index : 3 * index + 3]) for index in range(256)]
# Neither has to be read by its hue, and both hold when the page turns dark into light.
AREA, MARK = (128, 124, 136), (180, 64, 12)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def words(label: str) -> str:
    return label.replace("_", " ")


def _upright(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Image.Image:
    """Draw the text turned by 90 degrees, reading upwards."""
    width = round(font.getlength(text)) + 2
    image = Image.new("RGB", (width, 20), PAPER)
    ImageDraw.Draw(image).text((0, 2), text, INK, font)
    return image.rotate(90, expand=True)


def confusion(table: NDArray[np.int64], classes: Sequence[str]) -> Image.Image:
    """Draw the confusion matrix.

    Parameters
    ----------
    table : (classes, classes) counts, rows by label and columns by prediction
    """
    count = len(classes)
    cell = 18 if count > 20 else 30
    font, small = _font(13), _font(11)
    texts = [*map(words, classes), "columns: answered"]
    margin = 34 + round(max(font.getlength(text) for text in texts))
    side = margin + count * cell + 16
    image = Image.new("RGB", (side, side), PAPER)
    draw = ImageDraw.Draw(image)
    shares = table / table.sum(axis=1, keepdims=True).clip(1)
    for row in range(count):
        for column in range(count):
            _cell(draw, margin, cell, row, column, shares[row, column], table[row, column], small)
    for index, name in enumerate(classes):
        middle = margin + index * cell + cell // 2
        draw.text((margin - 6, middle), words(name), INK, font, anchor="rm")
        upright = _upright(words(name), font)
        image.paste(upright, (middle - upright.width // 2, margin - 6 - upright.height))
    end = margin + count * cell
    draw.rectangle((margin, margin, end, end), outline=INK)
    draw.text((margin - 6, 8), "columns: answered", INK, font, anchor="rt")
    draw.text((margin - 6, 26), "rows: really", INK, font, anchor="rt")
    return image


def _cell(
    draw: ImageDraw.ImageDraw,
    margin: int,
    size: int,
    row: int,
    column: int,
    share: float,
    clips: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    left, top = margin + column * size, margin + row * size
    box = (left, top, left + size - 1, top + size - 1)
    if not clips:
        draw.rectangle(box, outline=(240, 239, 243))
        return
    shade = 240 - round(190 * share)  # pale is rare, dark is all of the row
    draw.rectangle(box, fill=COLOURS[shade])
    ink = PAPER if shade < 170 else INK
    draw.text((left + size // 2, top + size // 2), str(clips), ink, font, anchor="mm")


def reliability(shown: Calibration) -> Image.Image:
    """Draw the accuracy and the number of predictions in each bin of confidence."""
    left, top, side, below = 90, 50, 460, 110
    image = Image.new("RGB", (left + side + 30, top + side + below + 110), PAPER)
    draw = ImageDraw.Draw(image)
    font, title = _font(14), _font(16)

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x * side, top + (1 - y) * side

    for tick in range(0, 11, 2):
        value = tick / 10
        draw.line((*place(value, 0), *place(value, 1)), FAINT)
        draw.line((*place(0, value), *place(1, value)), FAINT)
        draw.text((left - 8, place(0, value)[1]), f"{value:.0%}", INK, font, anchor="rm")
    most = max(bin.clips for bin in shown.bins) or 1
    base = top + side + below + 30
    for bin in shown.bins:
        x0, x1 = place(bin.low, 0)[0] + 2, place(bin.high, 0)[0] - 2
        if bin.clips and bin.accuracy is not None and bin.confidence is not None:
            draw.rectangle((x0, place(0, bin.accuracy)[1], x1, top + side), fill=AREA)
            y = place(0, bin.confidence)[1]
            draw.line((x0, y, x1, y), MARK, 3)
            draw.rectangle((x0, base - below * bin.clips / most, x1, base), fill=FAINT)
            draw.text(((x0 + x1) / 2, base - below * bin.clips / most - 2), str(bin.clips), INK,
                      _font(11), anchor="mb")  # fmt: skip
    draw.line((*place(0, 0), *place(1, 1)), INK, 1)
    draw.rectangle((left, top, left + side, top + side), outline=INK)
    draw.line((left, base, left + side, base), INK)
    for tick in range(0, 11, 2):
        draw.text((place(tick / 10, 0)[0], base + 6), f"{tick / 10:.0%}", INK, font, anchor="mt")
    low, high = shown.band
    heading = f"ECE {shown.ece:.1%}; a perfectly calibrated network: {low:.1%} to {high:.1%}"
    draw.text((left, 18), heading, INK, title)
    draw.text((left + side / 2, base + 32), f"confidence, in {BINS} bins; clips in each", INK,
              font, anchor="mt")  # fmt: skip
    side_text = _upright("share of right answers", font)
    image.paste(side_text, (18, top + (side - side_text.height) // 2))
    key = "bars: how many were right; lines: what was promised"
    draw.text((left + side / 2, base + 54), key, MARK, font, anchor="mt")
    return image
