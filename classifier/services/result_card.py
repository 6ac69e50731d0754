"""The card of a result: a picture of 1200×630 pixels, as sites show it for a link."""

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.contrib.staticfiles import finders
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1200, 630
MARGIN = 64
# The colours of the pages' scope.
GROUND, LINE, QUIET, INK, ACCENT = "#0b0a12", "#34313f", "#a5a2ae", "#f7f6f2", "#fd9668"
SEMIBOLD, REGULAR = "source-sans-3-latin-600-normal", "source-sans-3-latin-400-normal"
MONO = "ibm-plex-mono-latin-400-normal"
TITLE_SIZES = (76, 64, 54, 46, 40)
PICTURE = (MARGIN, 232, WIDTH - MARGIN, 466)
BARS_TOP, BAR_GAP = 506, 36
# The line of the icon, in units of its 32×32 square.
WAVE = ((5, 16), (9, 16), (12, 8), (16, 25), (20, 12), (23, 16), (27, 16))
# Cards and fonts that a process keeps. Not in Redis, whose memory is for the messages to workers.
MAX_CARDS, MAX_FONTS = 64, 16
# Pictures are drawn larger and reduced where edges must be smooth.
SMOOTH = 4


@dataclass(frozen=True, slots=True)
class Row:
    """A class at the bottom of the card.

    Attributes
    ----------
    share : float
        Length of its bar, 0 to 1.
    """

    name: str
    value: str
    share: float


@dataclass(frozen=True, slots=True)
class Card:
    """What a card says.

    Attributes
    ----------
    title : str
        The answer.
    confidence : str
        Beside the answer; "" if there is none.
    length : str
        The duration of the sound.
    rows : tuple of Row
        At most three.
    """

    title: str
    confidence: str
    length: str
    rows: tuple[Row, ...]


@lru_cache(MAX_CARDS)
def draw(card: Card, spectrogram: Path) -> bytes:
    """Return the card as a PNG; sites request the same one again and again.

    Parameters
    ----------
    spectrogram : Path
        A picture with low frequencies at the bottom. A file of this name never changes.

    Raises
    ------
    FileNotFoundError
        There is no such picture.
    """
    image = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    pen = ImageDraw.Draw(image)
    _draw_brand(image, pen, card.length)
    _draw_title(pen, card)
    left, top, right, bottom = PICTURE
    with Image.open(spectrogram) as found:
        sound = found.convert("RGB").resize((right - left, bottom - top), Image.Resampling.BICUBIC)
    image.paste(sound, (left, top), _rounded(sound.size, 10))
    for number, row in enumerate(card.rows):
        _draw_row(pen, number, row)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@lru_cache(MAX_FONTS)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    path = finders.find(f"vendor/{name}.woff2")
    assert isinstance(path, str), f"{name} is missing: run make"
    return ImageFont.truetype(path, size)


def _draw_brand(image: Image.Image, pen: ImageDraw.ImageDraw, length: str) -> None:
    side = 44
    icon = Image.new("RGB", (side * SMOOTH, side * SMOOTH), GROUND)
    scale = side * SMOOTH / 32
    points = [(x * scale, y * scale) for x, y in WAVE]
    ImageDraw.Draw(icon).line(points, ACCENT, round(2.5 * scale), joint="curve")
    image.paste(icon.resize((side, side), Image.Resampling.LANCZOS), (MARGIN - 7, 46))
    pen.text((MARGIN + 46, 68), "Sonoscope", QUIET, _font(SEMIBOLD, 30), anchor="lm")
    pen.text((WIDTH - MARGIN, 68), length, QUIET, _font(MONO, 26), anchor="rm")


def _draw_title(pen: ImageDraw.ImageDraw, card: Card) -> None:
    """Draw the answer as large as its line allows, with the confidence at the right."""
    confidence = _font(MONO, 48)
    room = WIDTH - 2 * MARGIN
    if card.confidence:
        pen.text((WIDTH - MARGIN, 186), card.confidence, ACCENT, confidence, anchor="rs")
        room -= round(pen.textlength(card.confidence, confidence)) + 40
    fonts = [_font(SEMIBOLD, size) for size in TITLE_SIZES]
    font = next((one for one in fonts if pen.textlength(card.title, one) <= room), fonts[-1])
    pen.text((MARGIN, 186), card.title, INK, font, anchor="ls")


def _draw_row(pen: ImageDraw.ImageDraw, number: int, row: Row) -> None:
    middle = BARS_TOP + BAR_GAP * number
    left, right = MARGIN + 320, WIDTH - MARGIN - 130
    colour = INK if number == 0 else QUIET
    name_font = _font(REGULAR, 28)
    name = row.name
    while pen.textlength(name, name_font) > left - MARGIN - 16:
        name = f"{name[:-2]}…"
    pen.text((MARGIN, middle), name, colour, name_font, anchor="lm")
    pen.text((WIDTH - MARGIN, middle), row.value, colour, _font(MONO, 26), anchor="rm")
    pen.rounded_rectangle((left, middle - 4, right, middle + 4), 4, LINE)
    end = left + max(8, round((right - left) * row.share))
    pen.rounded_rectangle((left, middle - 4, end, middle + 4), 4, ACCENT if number == 0 else QUIET)


def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    """Return a mask that rounds the corners of a picture."""
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), radius, 255)
    return mask
