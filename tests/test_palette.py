"""The pages read numbers off pictures: they must know the worker's colours, and its mel bands."""

import re

from classifier.views.result_layout import band_centres_hz
from ml.features import FeatureConfig, LogMel
from ml.rendering import png
from tests.server import ROOT


def test_the_pages_know_the_workers_palette() -> None:
    script = (ROOT / "webapp/static/js/maps.js").read_text()
    (anchors,) = re.findall(r"const MAGMA = `([^`]*)`", script)
    assert anchors.split() == png.MAGMA.split()
    colours = [png.PALETTE[at : at + 3] for at in range(0, 768, 3)]
    assert len(set(colours)) == 256, "each colour stands for one number"


def test_the_pages_know_the_networks_mel_bands() -> None:
    config = FeatureConfig()
    payload = band_centres_hz(config.f_min_hz, config.f_max_hz, config.mels, config.mel_scale)
    heard = LogMel(config).band_centres_hz()
    assert all(abs(a - b) / b < 0.02 for a, b in zip(payload, heard, strict=True))
