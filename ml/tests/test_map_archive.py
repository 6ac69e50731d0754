"""Tests of writing and reading map archives."""

import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ml import checkpoint_info, map_archive
from ml.checkpoint_info import STAGES, map_names
from ml.explain.results import SHOWN_CHANNELS, Activations, Explanation
from ml.inference import Classifier
from ml.map_archive import ExplanationArchive, MapArchive
from ml.predictions import Result
from ml.render_metadata import ArchiveIndex, ExplanationIndex
from ml.rendering.png import OVERLAY_LEVELS
from tests import fixtures


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(checkpoint_info.SHIPPED, torch.device("cpu"), torch.float32)


SOUND = fixtures.chirp(300, 5000, 5.0)


@pytest.fixture(scope="module")
def result(classifier: Classifier) -> Result:
    return classifier.classify([SOUND])[0]


@pytest.fixture(scope="module")
def activations(result: Result) -> Activations:
    return result.activations


@pytest.fixture(scope="module")
def packed(classifier: Classifier, result: Result) -> MapArchive:
    return map_archive.pack(result.activations, result.probabilities, classifier.info.classes)


@pytest.fixture(scope="module")
def explanation(classifier: Classifier) -> Explanation:
    return classifier.explain(SOUND, 7)


@pytest.fixture(scope="module")
def explained(explanation: Explanation) -> ExplanationArchive:
    return map_archive.pack_explanation(explanation, explanation.attribution)


@pytest.fixture
def explained_path(explained: ExplanationArchive, tmp_path: Path) -> Path:
    path = tmp_path / "explanation.zip"
    path.write_bytes(explained.data)
    return path


@pytest.fixture
def path(packed: MapArchive, tmp_path: Path) -> Path:
    path = tmp_path / "maps.zip"
    path.write_bytes(packed.data)
    return path


def test_every_map_is_read_back_within_the_precision_of_its_palette(
    activations: Activations, packed: MapArchive, path: Path
) -> None:
    found = map_archive.map_values(path, packed.index)
    assert tuple(found) == map_names()
    for name, cells in found.items():
        mean = activations.maps[name]
        step = (mean.max() - mean.min()) / 255
        assert np.abs(cells - mean).max() <= step / 2 + 1e-4, name


def test_the_strongest_channels_are_pictures_of_their_own(
    explanation: Explanation, explained: ExplanationArchive, explained_path: Path
) -> None:
    for stage in STAGES:
        for rank, (channel, facts) in enumerate(
            zip(explanation.strongest[stage], explained.index.strongest[stage], strict=True)
        ):
            png = map_archive.picture(explained_path, f"{stage}.top{rank}")
            assert png is not None
            cells = map_archive.cells(png, facts.low, facts.high)
            assert facts.number == channel.number
            assert np.abs(cells - channel.values).max() <= (facts.high - facts.low) / 255
    assert map_archive.picture(explained_path, f"layer4.top{SHOWN_CHANNELS}") is None


def test_attribution_is_transparent_where_it_is_zero(
    explanation: Explanation, explained: ExplanationArchive, explained_path: Path
) -> None:
    png = map_archive.picture(explained_path, "attribution")
    assert png is not None
    opacity = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))[:, :, 3] / 255
    assert opacity.shape == explained.index.shape
    off = np.abs(np.flipud(opacity) - explanation.attribution).max()
    assert off <= 0.5 / (OVERLAY_LEVELS - 1) + 0.01


def test_the_index_has_the_highest_logits_of_the_window(
    classifier: Classifier, result: Result, packed: MapArchive
) -> None:
    activations = result.activations
    order = np.argsort(-activations.logits)[:5]
    logits = packed.index.logits
    assert [one.label for one in logits] == [classifier.info.classes[n] for n in order]
    assert [one.logit for one in logits] == pytest.approx(activations.logits[order], abs=1e-3)
    probabilities = [one.confidence for one in logits]
    assert probabilities == pytest.approx(result.probabilities[order], abs=1e-6)


def test_the_pooled_values_are_in_the_order_of_their_channels(
    activations: Activations, packed: MapArchive, path: Path
) -> None:
    png = map_archive.picture(path, "pooled")
    assert png is not None
    facts = packed.index.pooled
    index = np.asarray(Image.open(io.BytesIO(png))).ravel()
    values = facts.low + index / 255 * (facts.high - facts.low)
    assert np.abs(values - activations.pooled).max() <= (facts.high - facts.low) / 255


def test_the_indexes_survive_a_json_round_trip(
    packed: MapArchive, explained: ExplanationArchive
) -> None:
    assert ArchiveIndex.from_json(json.loads(json.dumps(asdict(packed.index)))) == packed.index
    payload = json.loads(json.dumps(asdict(explained.index)))
    assert ExplanationIndex.from_json(payload) == explained.index


def test_the_downloadable_zips_have_every_picture_by_name(
    packed: MapArchive, path: Path, explained: ExplanationArchive, explained_path: Path
) -> None:
    whole = zipfile.ZipFile(io.BytesIO(map_archive.as_zip(path, packed.index)))
    maps = {f"{name}.png" for name in map_names()}
    assert set(whole.namelist()) == maps | {"pooled.png", "index.json"}
    assert json.loads(whole.read("index.json"))["maps"][-1]["channels"] == 512

    whole = zipfile.ZipFile(io.BytesIO(map_archive.as_zip(explained_path, explained.index)))
    channels = {f"{stage}.top{rank}.png" for stage in STAGES for rank in range(SHOWN_CHANNELS)}
    assert set(whole.namelist()) == channels | {"attribution.png", "index.json"}
    assert len(json.loads(whole.read("index.json"))["strongest"]["layer2"]) == SHOWN_CHANNELS


@pytest.mark.parametrize(
    "name", ["layer9", "layer2.maps.png", "../layer1", "layer2.top0", "attribution", ""]
)
def test_unknown_names_give_no_picture(packed: MapArchive, path: Path, name: str) -> None:
    assert map_archive.picture(path, name) is None


def test_the_archive_of_a_noisy_clip_stays_within_its_size_limit(classifier: Classifier) -> None:
    (noise,) = classifier.classify([fixtures.noise(5.0, level=0.3)])
    archive = map_archive.pack(noise.activations, noise.probabilities, classifier.info.classes)
    assert len(archive.data) < 90_000
