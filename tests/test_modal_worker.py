"""A real worker with INFERENCE=modal; another process on this machine takes Modal's place."""

import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from ml import checkpoint_info
from ml.audio.decode import read
from ml.checkpoint_info import map_names
from ml.inference import Classifier
from ml.rendering import png
from tasks.modal_app import InferenceService
from tests import fixtures
from tests.fake_modal_server import FakeModalServer
from tests.server import ROOT, Person, Server

LONG = fixtures.encode(fixtures.chirp(300, 6000, 12.0, 44_100), 44_100, "FLAC")
SHORT = fixtures.encode(fixtures.noise(1.0, seed=7))


@pytest.fixture(scope="module")
def down_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """While this file exists, every call to Modal fails."""
    return tmp_path_factory.mktemp("modal") / "down"


@pytest.fixture(scope="module")
def remote_server(tmp_path_factory: pytest.TempPathFactory, down_file: Path) -> Iterator[Server]:
    first_on_path = tmp_path_factory.mktemp("path")
    shutil.copy(ROOT / "tests" / "fake_modal_package.py", first_on_path / "modal.py")
    server = Server(
        tmp_path_factory.mktemp("remote-server"),
        INFERENCE="modal",
        PYTHONPATH=str(first_on_path),
        FAKE_MODAL_DOWN_FILE=str(down_file),
    )
    server.open()
    yield server
    server.close()


@pytest.fixture(scope="module")
def emil(remote_server: Server) -> Person:
    return remote_server.person()


def test_a_clip_classified_at_modal_has_the_same_result_as_locally(
    emil: Person, tmp_path: Path
) -> None:
    sent = [emil.submit("long.flac", LONG), emil.submit("short.wav", SHORT)]
    (tmp_path / "long.flac").write_bytes(LONG)
    (tmp_path / "short.wav").write_bytes(SHORT)
    classifier = Classifier.load(checkpoint_info.default_path())
    for location, name in zip(sent, ("long.flac", "short.wav"), strict=True):
        analysed = emil.wait(location)
        assert analysed["state"] == "done", analysed["error"]
        assert analysed["checkpoint"] == classifier.identity
        waveform = read(tmp_path / name, classifier.info.features.sample_rate).waveform
        here = classifier.classify([waveform])[0]
        remote = {p["class"]: p["confidence"] for p in analysed["predictions"]}
        expected = dict(zip(classifier.info.classes, here.probabilities.tolist(), strict=True))
        assert remote == pytest.approx(expected, abs=2e-3)
        response = emil.get(f"/media/analyses/{analysed['id']}/maps.zip")
        with zipfile.ZipFile(io.BytesIO(response.content)) as pack:
            for map_name in map_names():
                mean = here.activations.maps[map_name]
                drawn = np.flipud(np.asarray(Image.open(io.BytesIO(pack.read(f"{map_name}.png")))))
                shades = png.to_index(mean, float(mean.min()), float(mean.max()))
                assert np.abs(drawn.astype(int) - shades).max() <= 2, map_name


def test_a_file_without_audio_fails_with_its_reason(emil: Person) -> None:
    analysis = emil.wait(emil.submit("notes.wav", b"Monday: buy milk\n" * 50))
    assert analysis["error"]["code"] == "not_audio"


def test_an_inspection_is_computed_locally_while_modal_is_down(
    emil: Person, down_file: Path
) -> None:
    analysed = emil.wait(emil.submit("close.wav", fixtures.encode(fixtures.noise(1.0, seed=77))))
    down_file.touch()
    address = f"{emil.server.url}/api/v1/analyses/{analysed['id']}/inspections/"
    body = {"kind": "channels", "map": "layer4"}
    requested = requests.post(address, json=body, headers=emil.headers, timeout=30)
    inspection = emil.wait(requested.headers["Location"])
    down_file.unlink()
    assert inspection["state"] == "done", inspection["error"]
    assert inspection["figures"]["shape"] == [512, 4, 10]


def test_while_modal_is_down_clips_fail_with_a_reason_and_can_be_retried(
    emil: Person, down_file: Path, remote_server: Server
) -> None:
    down_file.touch()
    failed = emil.wait(emil.submit("away.wav", fixtures.encode(fixtures.noise(1.0, seed=8))))
    assert failed["state"] == "failed"
    assert failed["error"]["code"] == "inference_unavailable"
    assert "not a problem with the sound" in failed["error"]["hint"]
    assert "Modal is down" in remote_server.log("worker")
    down_file.unlink()
    page = emil.post_page(f"/analyses/{failed['id']}/again/")
    again = page.url.rstrip("/").rsplit("/", 1)[-1]
    assert emil.wait(f"/api/v1/analyses/{again}/")["state"] == "done"


def test_only_the_deployed_checkpoint_is_used(emil: Person, remote_server: Server) -> None:
    with remote_server.paused("worker"):
        location = emil.submit("other.wav", fixtures.encode(fixtures.noise(1.0, seed=9)))
        pk = location.rstrip("/").rpartition("/")[2]
        code = (
            "from classifier.models import Analysis; "
            f"Analysis.objects.filter(pk='{pk}').update(checkpoint='other@0123456789ab')"
        )
        remote_server.manage("shell", "--no-imports", "-c", code)
    failed = emil.wait(location)
    assert failed["error"]["code"] == "checkpoint_missing"
    assert "not the one deployed on Modal" in failed["error"]["detail"]


def test_a_worker_also_works_with_modals_own_client(emil: Person, remote_server: Server) -> None:
    """The server's worker is replaced by one that uses the real package."""
    service: Any = InferenceService()
    with FakeModalServer(service.predict.local) as cloud:
        remote_server.stop("worker")
        remote_server.env = remote_server.env | cloud.settings | {"PYTHONPATH": ""}
        remote_server.start("worker")
        sound = fixtures.encode(fixtures.noise(1.0, seed=10))
        analysed = emil.wait(emil.submit("own.wav", sound))
        remote_server.stop("worker")
    assert analysed["state"] == "done", analysed["error"]
    assert len(cloud.requests("FunctionMap")) == 1


def test_importing_the_tasks_and_the_web_app_does_not_import_modal() -> None:
    script = (
        "import sys, django; django.setup(); import tasks.analyse, tasks.sweep, webapp.wsgi; "
        "sys.exit('modal' in sys.modules)"
    )
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "webapp.settings", "INFERENCE": "modal"}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, check=True)
