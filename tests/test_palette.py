"""The pages convert the colours of pictures to numbers, so they need the worker's palette."""

import re

from ml.rendering import png
from tests.server import ROOT


def test_the_pages_have_the_same_palette_as_the_worker() -> None:
    script = (ROOT / "webapp/static/js/maps.js").read_text()
    (anchors,) = re.findall(r"const MAGMA = `([^`]*)`", script)
    assert anchors.split() == png.MAGMA.split()
    colours = [png.PALETTE[at : at + 3] for at in range(0, 768, 3)]
    assert len(set(colours)) == 256, "each colour must be unique"
