"""Tests of the Modal endpoint, served by FastAPI with the shipped checkpoint."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asgiref.testing import ApplicationCommunicator
from fastapi import FastAPI

from ml import checkpoint_info
from ml.audio.decode import read
from ml.checkpoint_info import map_names
from ml.inference import Classifier
from tasks.modal_app import InferenceService
from tests import fixtures

SOUND = fixtures.encode(
    fixtures.stereo(fixtures.chirp(300, 6000, 5.0, 48_000), fixtures.noise(5.0, 48_000)), 48_000
)


def classify(question: dict[str, Any]) -> Any:
    service: Any = InferenceService()
    return service.classify.local(question)


def post(body: bytes) -> tuple[int, Any]:
    """Send a request and return the status and the JSON."""
    app = FastAPI(openapi_url=None)
    app.add_api_route("/", classify, methods=["POST"])
    scope = {
        "type": "http", "method": "POST", "path": "/", "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }  # fmt: skip

    async def talk() -> tuple[int, bytes]:
        line = ApplicationCommunicator(app, scope)
        await line.send_input({"type": "http.request", "body": body})
        start = await line.receive_output(60)
        answer = b""
        while True:
            part = await line.receive_output(60)
            answer += part["body"]
            if not part.get("more_body"):
                return start["status"], answer

    status, answer = asyncio.run(talk())
    return status, json.loads(answer)


def question(sound: bytes) -> bytes:
    return json.dumps({"audio_data": base64.b64encode(sound).decode()}).encode()


def test_it_responds_in_the_format_of_the_visualizer(tmp_path: Path) -> None:
    status, answer = post(question(SOUND))
    assert status == 200
    assert set(answer) == {"predictions", "visualization", "input_spectrogram", "waveform"}
    assert [set(one) for one in answer["predictions"]] == [{"class", "confidence"}] * 3
    assert tuple(answer["visualization"]) == map_names()
    for name, grid in answer["visualization"].items():
        assert list(np.shape(grid["values"])) == grid["shape"], name
    assert answer["waveform"]["duration"] == pytest.approx(5.0, abs=0.001)
    assert len(answer["waveform"]["values"]) <= 8000

    (tmp_path / "sound").write_bytes(SOUND)
    classifier = Classifier.load(checkpoint_info.default_path())
    waveform = read(tmp_path / "sound", classifier.info.features.sample_rate).waveform
    result = classifier.classify([waveform])[0]
    best = classifier.predictions(result.probabilities)[0]
    assert answer["predictions"][0]["class"] == best.label
    assert answer["predictions"][0]["confidence"] == pytest.approx(best.confidence, abs=2e-3)
    values = np.array(answer["visualization"]["layer4"]["values"])
    np.testing.assert_allclose(values, result.activations.maps["layer4"], atol=1e-3)
    decibels = np.array(answer["input_spectrogram"]["values"])
    expected = classifier.spectrogram(waveform)
    np.testing.assert_allclose(decibels, np.maximum(expected, expected.max() - 80), atol=0.006)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (question(b"Monday: buy milk\n" * 50), "not_audio"),
        (question(b""), "empty"),
        (b'{"audio_data": "%%%"}', "not_base64"),
        (b'{"audio_data": 5}', "not_base64"),
        (b"{}", "not_base64"),
    ],
)
def test_a_sound_that_cannot_be_decoded_gives_400_with_its_problem(body: bytes, code: str) -> None:
    status, answer = post(body)
    assert status == 400
    assert set(answer) == {"code", "detail", "hint"}
    assert answer["code"] == code
