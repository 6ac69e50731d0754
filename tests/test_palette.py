"""The pages read numbers off pictures: they must know the worker's colours."""

import re

from ml.rendering import png
from tests.server import ROOT


def test_the_pages_know_the_workers_palette() -> None:
    script = (ROOT / "webapp/static/js/maps.js").read_text()
    (anchors,) = re.findall(r"const MAGMA = `([^`]*)`", script)
    assert anchors.split() == png.MAGMA.split()
    colours = [png.PALETTE[at : at + 3] for at in range(0, 768, 3)]
    assert len(set(colours)) == 256, "each colour stands for one number"
