"""A Python client that openapi-python-client generates from the schema works."""

import importlib
import io
import pkgutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests import fixtures
from tests.server import PASSWORD, Server

pytestmark = pytest.mark.pipeline
PACKAGE = "generated_sonoscope_client"
LIMIT_S = 90


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("client")
    # By default it formats the code with Ruff, waits for five seconds only, and knows no ZIP files.
    (folder / "config.yml").write_text(
        "post_hooks: []\nhttp_timeout: 60\n"
        "content_type_overrides: {application/zip: application/octet-stream}\n"
    )
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("openapi-python-client")),
            "generate",
            *("--url", f"{server.url}/api/schema/"),
            *("--output-path", str(folder / PACKAGE)),
            *("--config", str(folder / "config.yml")),
            *("--meta", "none", "--fail-on-warning"),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    return importlib.import_module(PACKAGE)


def test_every_module_can_be_imported(client: ModuleType) -> None:
    names = [found.name for found in pkgutil.walk_packages(client.__path__, f"{PACKAGE}.")]
    assert sum(name.startswith(f"{PACKAGE}.api.") for name in names) > 30
    for name in names:
        importlib.import_module(name)


def test_it_gets_a_token_uploads_polls_and_submits_a_batch(
    client: ModuleType, server: Server
) -> None:
    models = importlib.import_module(f"{PACKAGE}.models")
    types = importlib.import_module(f"{PACKAGE}.types")

    def call(operation: str, **arguments: Any) -> Any:
        answer = importlib.import_module(f"{PACKAGE}.api.{operation}").sync_detailed(**arguments)
        assert answer.status_code < 300, answer.content
        return answer.parsed

    def sound(seed: int, name: str) -> Any:
        wav = fixtures.encode(fixtures.noise(1.0, 16_000, seed=seed), 16_000, "WAV")
        return types.File(payload=io.BytesIO(wav), file_name=name, mime_type="audio/wav")

    name = server.person().name
    token = call(
        "tokens.get_token",
        client=client.Client(base_url=server.url),
        body=models.SignInRequest(username=name, password=PASSWORD),
    ).token
    signed_in = client.AuthenticatedClient(base_url=server.url, token=token, prefix="Token")

    accepted = call(
        "clips.upload_clip",
        client=signed_in,
        body=models.UploadClipRequest(file=sound(501, "one.wav")),
    )
    ends = time.monotonic() + LIMIT_S
    while True:
        analysis = call("analyses.get_analysis", client=signed_in, id=accepted.analysis)
        if analysis.state not in ("queued", "running") or time.monotonic() > ends:
            break
        time.sleep(0.2)
    assert analysis.state == "done"
    assert len(analysis.predictions) == 50
    assert analysis.maps.additional_properties["conv1"].url

    batch = call(
        "batches.create_batch", client=signed_in, body=models.CreateBatchRequest(name="trip")
    )
    for seed, path in ((502, "a/two.wav"), (503, "b/three.wav")):
        body = models.AddFileRequest(file=sound(seed, "sound.wav"), path=path)
        added = call("batches.add_file", client=signed_in, id=batch.id, body=body)
        assert (added.path, added.outcome) == (path, "accepted")
    call("batches.close_batch", client=signed_in, id=batch.id)
    while time.monotonic() < ends:
        batch = call("batches.get_batch", client=signed_in, id=batch.id)
        if batch.totals.done == 2:
            break
        time.sleep(0.2)
    assert (batch.state, batch.totals.done) == ("closed", 2)
    exported = call("batches.export_batch_json", client=signed_in, id=batch.id)
    assert [file.path for file in exported.files] == ["a/two.wav", "b/three.wav"]
    assert [clip.name for clip in call("clips.list_clips", client=signed_in).results] == [
        "three.wav", "two.wav", "one.wav"
    ]  # fmt: skip
