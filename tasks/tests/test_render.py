"""Tests of the files of an analysis and of their metadata."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pytest_django import Settings

from classifier import storage
from ml.audio.decode import Sound, read
from ml.audio.waveform import SamplesOnDisk
from ml.checkpoint_info import SHIPPED, map_names
from ml.inference import Classifier
from ml.render_metadata import RenderMetadata
from ml.rendering import spectrogram
from ml.rendering.png import picture
from tasks.inspect import tile
from tasks.rendering import render
from tests import fixtures

SOUND = Sound(fixtures.chirp(300, 5000, 6.0), 32_000, 44_100, 1, "WAV")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(SHIPPED)


def test_the_metadata_describes_the_files(classifier: Classifier) -> None:
    contents, metadata = render(classifier, SOUND, classifier.classify([SOUND.waveform])[0])
    assert set(contents) == {storage.SPECTROGRAM, storage.STRIP, storage.MAPS, storage.PEAKS}
    assert RenderMetadata.from_json(json.loads(json.dumps(metadata.to_json()))) == metadata
    assert tuple(one.name for one in metadata.index.maps) == map_names()
    assert metadata.band_centres_hz == pytest.approx(
        classifier.log_mel.band_centres_hz(), abs=0.5
    ), "so that the pages need no mel scale"
    assert (metadata.mels, metadata.frames) == (128, 376)
    assert [window.start_s for window in metadata.window_predictions] == [0.0, 1.0]
    assert metadata.shown_from_s == metadata.window_predictions[metadata.shown_window].start_s


def test_a_file_that_browsers_cannot_play_gets_a_flac(
    classifier: Classifier, settings: Settings, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path
    sound = replace(SOUND, waveform=SOUND.waveform[:64_000], playable=False)
    contents, metadata = render(classifier, sound, classifier.classify([sound.waveform])[0])
    storage.write_all(tmp_path / "analysis", contents)
    playable = read(tmp_path / "analysis" / storage.PLAYABLE, 32_000)
    assert playable.format == "FLAC"
    assert np.abs(playable.waveform - sound.waveform).max() < 1e-3
    assert (metadata.window_count, metadata.window_predictions) == (1, ())


def test_a_recording_on_disk_gives_the_same_result_as_in_memory(
    classifier: Classifier, tmp_path: Path
) -> None:
    chirp, quiet = fixtures.chirp(300, 5000, 65.0), fixtures.noise(30.0, level=0.01)
    waveform = np.concatenate([chirp, quiet, fixtures.clicks(3.0, 8.3)])
    stored = SamplesOnDisk(tmp_path)
    for block in np.split(waveform, [500_000, 2_500_000]):
        stored.append(block)
    in_memory = replace(SOUND, waveform=waveform)
    on_disk = Sound(stored, 32_000, 44_100, 1, "WAV")
    expected, result = classifier.classify([waveform])[0], classifier.classify([stored])[0]
    np.testing.assert_array_equal(result.window_probabilities, expected.window_probabilities)
    assert result.shown_window == expected.shown_window
    contents, metadata = render(classifier, in_memory, expected)
    assert render(classifier, on_disk, result) == (contents, metadata)
    # The parts do not show: the whole spectrogram, drawn at once, is the same.
    decibels = classifier.log_mel.decibels(torch.from_numpy(waveform)[None])[0, 0].numpy()
    whole = spectrogram.draw([decibels], metadata.frames)
    assert whole.columns == metadata.shown_columns < metadata.frames == decibels.shape[1]
    for name, png in ((storage.SPECTROGRAM, whole.picture), (storage.STRIP, whole.strip)):
        assert difference(contents[name], png) <= 1
    # A tile is the part of it with its frames, in the same colours.
    for number, part in enumerate((slice(0, 4096), slice(4096, None))):
        found = tile(classifier, stored, metadata, "fine", number)
        expected_png = picture(decibels[:, part], whole.low_db, whole.high_db).png
        assert difference(found.contents[storage.TILE], expected_png) <= 1
        samples = waveform[part.start * 512 : part.stop and part.stop * 512]
        peaks = json.loads(found.contents[storage.PEAKS])
        assert (min(peaks), max(peaks)) == pytest.approx((samples.min(), samples.max()), abs=1e-3)
    averages = spectrogram.Columns(np.add, 0.0, metadata.frames, -(-metadata.frames // 16))
    averages.add(decibels)
    medium = picture(averages.values / averages.counts, whole.low_db, whole.high_db).png
    drawn = tile(classifier, stored, metadata, "medium", 0).contents[storage.TILE]
    assert difference(drawn, medium) <= 1


def difference(png: storage.Content, other: storage.Content) -> int:
    """Return the largest difference of two pictures in palette indices."""
    assert isinstance(png, bytes) and isinstance(other, bytes)
    first, second = (np.asarray(Image.open(io.BytesIO(one))).astype(int) for one in (png, other))
    return int(np.abs(first - second).max())
