"""A processor whose bfloat16 gives NaN: a real worker recomputes in fp32 and reports it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import torch

from ml.audio.decode import read
from ml.checkpoint_info import SHIPPED
from ml.inference import Classifier, pick_precision
from tests import fixtures
from tests.server import Server
from tests.test_doctor import doctor

# Python imports a module of this name at startup. Single windows give NaN in bf16; the self-test's
# batch of several does not, or the worker would use fp32 from the start.
_HOOK = """
import sys
if "worker" in sys.orig_argv:
    import torch
    def break_single_windows(module, inputs, output):
        if type(module) is torch.nn.Linear and output.dtype == torch.bfloat16 and len(output) == 1:
            return output * float("nan")
    torch.nn.modules.module.register_module_forward_hook(break_single_windows)
"""


@pytest.fixture(scope="module")
def nan_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if pick_precision(torch.device("cpu")) != torch.bfloat16 or torch.cuda.is_available():
        pytest.skip("workers compute in fp32 on this machine")
    folder: Path = tmp_path_factory.mktemp("hook")
    (folder / "sitecustomize.py").write_text(_HOOK)
    server = Server(tmp_path_factory.mktemp("nan"), PYTHONPATH=str(folder))
    server.open()
    yield server
    server.close()


def test_windows_with_nan_in_bf16_are_recomputed_in_fp32_and_counted(
    nan_server: Server, tmp_path: Path
) -> None:
    person = nan_server.person()
    exact = Classifier.load(SHIPPED, precision=torch.float32)
    for sound in (fixtures.chirp(duration_s=1.0), fixtures.noise(1.0)):
        path = tmp_path / "sound.wav"
        path.write_bytes(fixtures.encode(sound))
        (expected,) = exact.predict([read(path, exact.info.features.sample_rate).waveform])
        analysis = person.wait(person.submit(path.name, path.read_bytes()))
        best = analysis["predictions"][0]
        assert best["confidence"] == pytest.approx(float(expected.probabilities.max()), abs=1e-3)
    said = "2 windows recomputed in fp32 in the last 7 days"
    assert nan_server.log("worker").count("non-finite values in torch.bfloat16") == 1
    ready = requests.get(f"{nan_server.url}/readyz", timeout=30)
    assert ready.status_code == 200
    assert ready.json()["checks"]["precision"] == {"ok": True, "detail": said}
    status, report = doctor(nan_server, "--only", "precision", "--json")
    finding = json.loads(report)["checks"]["precision"]
    assert (status, finding["verdict"], finding["seen"]) == (0, "warning", said)
    assert "ONEDNN_MAX_CPU_ISA" in finding["hint"]
