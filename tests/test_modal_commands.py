"""The requests of the `modal` command, received by a fake server on this machine."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml import checkpoint_info
from ml.inference import Classifier
from tasks.modal_app import InferenceService
from tests import fixtures
from tests.fake_modal_server import FakeModalServer
from tests.server import ROOT

TRAINING, INFERENCE = "training/modal_job.py", "tasks/modal_app.py"


@pytest.fixture(scope="module")
def inference() -> Iterator[FakeModalServer]:
    with FakeModalServer() as cloud:
        cloud.command("deploy", INFERENCE)
        yield cloud


@pytest.fixture(scope="module")
def training() -> Iterator[FakeModalServer]:
    with FakeModalServer() as cloud:
        cloud.command("deploy", TRAINING)
        yield cloud


def build_steps(cloud: FakeModalServer) -> list[str]:
    return [
        step for asked in cloud.requests("ImageGetOrCreate")
        for step in asked.image.dockerfile_commands
    ]  # fmt: skip


def files_sent(cloud: FakeModalServer) -> set[str]:
    """Return the paths of the sent files in the container."""
    mounts = cloud.requests("MountGetOrCreate")
    return {file.filename for mount in mounts for file in mount.files}


def volumes(cloud: FakeModalServer, function: Any) -> dict[str, str]:
    """Return the mount path of each Volume by its name."""
    names = [asked.deployment_name for asked in cloud.requests("VolumeGetOrCreate")]
    assert len(function.volume_mounts) <= len(names)
    return dict(zip(names, [mount.mount_path for mount in function.volume_mounts], strict=False))


def test_inference_runs_on_an_a10g_and_scales_to_zero(inference: FakeModalServer) -> None:
    service = inference.functions()["InferenceService.*"]
    assert service.resources.gpu_config.gpu_type == "A10"
    assert service.resources.gpu_config.count == 1
    assert service.autoscaler_settings.min_containers == 0
    assert service.autoscaler_settings.scaledown_window == 60
    assert service.autoscaler_settings.max_containers == 10
    assert service.timeout_secs == 120
    assert service.max_concurrent_inputs == 0  # a Classifier takes one at a time
    assert set(service.method_definitions) == {"predict", "classify"}


def test_the_endpoint_requires_proxy_authentication(inference: FakeModalServer) -> None:
    endpoint = (
        inference.functions()["InferenceService.*"].method_definitions["classify"].webhook_config
    )
    assert endpoint.requires_proxy_auth
    assert endpoint.method == "POST"


@pytest.mark.parametrize("cloud", ["inference", "training"])
def test_the_image_is_python_3_11_with_pinned_requirements(
    cloud: str, request: pytest.FixtureRequest
) -> None:
    asked: FakeModalServer = request.getfixturevalue(cloud)
    steps = build_steps(asked)
    assert any(step.startswith("FROM python:3.11-slim") for step in steps)
    installs = [step for step in steps if "pip install" in step and "--upgrade pip" not in step]
    assert installs
    assert all(step.endswith("-c /constraints.txt") for step in installs)
    assert "/constraints.txt" in files_sent(asked)
    sent = [file.data.decode() for image in asked.requests("ImageGetOrCreate")
            for file in image.image.context_files]  # fmt: skip
    assert (ROOT / "requirements.txt").read_text() in sent


def test_the_image_contains_the_shipped_weights_under_their_own_name(
    inference: FakeModalServer,
) -> None:
    place = f"/root/ml/weights/{checkpoint_info.SHIPPED.name}"
    assert place in files_sent(inference)
    assert f"ENV CHECKPOINT={place}" in build_steps(inference)


def test_training_has_a_gpu_volumes_a_timeout_and_retries(
    training: FakeModalServer,
) -> None:
    train = training.functions()["train"]
    assert train.resources.gpu_config.gpu_type == "A10"
    assert volumes(training, train) == {"sonoscope-data": "/data", "sonoscope-runs": "/runs"}
    assert train.timeout_secs == 3 * 3600
    assert train.retry_policy.retries == 10
    assert train.single_use_containers


def test_functions_without_need_of_a_gpu_have_none(training: FakeModalServer) -> None:
    functions = training.functions()
    assert set(functions) == {"train", "prepare", "cross_validate"}
    for name in ("prepare", "cross_validate"):
        assert not functions[name].resources.gpu_config.gpu_type, name
    # After a preemption it would start its five runs a second time.
    assert functions["cross_validate"].scheduler_placement.nonpreemptible


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (
            "",
            {"--folds", "--test-fold", "--epochs", "--seed", "--recipe", "--teacher", "--minutes"},
        ),
        ("::cross_validate", {"--epochs", "--seed", "--recipe"}),
        ("::tensorboard", set()),
        ("::download", {"--run", "--to"}),
    ],
)
def test_modal_run_offers_the_documented_commands(name: str, options: set[str]) -> None:
    with FakeModalServer() as cloud:
        payload = cloud.command("run", TRAINING + name, "--help")
    assert set(re.findall(r"^  (--[a-z-]+)", payload, re.M)) - {"--profile"} == options


@pytest.mark.parametrize(
    ("path", "sources"), [(TRAINING, ("ml", "training")), (INFERENCE, ("ml",))]
)
def test_the_file_can_be_imported_with_only_the_packages_that_were_sent(
    path: str, sources: tuple[str, ...], tmp_path: Path
) -> None:
    """In a container the file is next to the sent packages, without the rest of the project."""
    shutil.copy(ROOT / path, tmp_path)
    for source in sources:
        shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("weights"))
    subprocess.run(
        [sys.executable, "-c", f"import {Path(path).stem}"],
        cwd=tmp_path, check=True, timeout=120,
    )  # fmt: skip


def classified_with_modals_own_client(
    cloud: FakeModalServer, seconds: float
) -> "subprocess.CompletedProcess[str]":
    """Classify noise as a worker does, in a process that uses the fake server.

    Prints the probabilities as JSON.
    """
    script = (
        "import json; from ml import checkpoint_info; "
        "from tasks.remote import RemoteClassifier; from tests import fixtures; "
        "remote = RemoteClassifier(checkpoint_info.SHIPPED); "
        f"result, = remote.classify([fixtures.noise({seconds})]); "
        "print(json.dumps(result.probabilities.tolist()))"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, env=os.environ | cloud.settings, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_modals_own_client_sends_a_clip_and_receives_its_result() -> None:
    service: Any = InferenceService()
    with FakeModalServer(service.predict.local) as cloud:
        done = classified_with_modals_own_client(cloud, 6.0)
    assert done.returncode == 0, done.stderr
    here = Classifier.load(checkpoint_info.SHIPPED).classify([fixtures.noise(6.0)])[0]
    assert json.loads(done.stdout) == pytest.approx(here.probabilities.tolist(), abs=2e-3)
    (found,) = cloud.requests("FunctionGet")
    assert (found.app_name, found.object_tag) == ("sonoscope-inference", "InferenceService.*")
    (call,) = cloud.requests("FunctionMap")
    assert call.pipelined_inputs[0].input.method_name == "predict"


def test_a_remote_error_is_reported_in_one_sentence() -> None:
    def refuse(identity: str, waveforms: list[bytes]) -> None:
        raise ValueError(f"Not {identity}")

    with FakeModalServer(refuse) as cloud:
        done = classified_with_modals_own_client(cloud, 1.0)
    assert "RemoteError: Modal: ValueError: Not esc50-folds1234@" in done.stderr


def test_a_worker_without_a_modal_account_does_not_start() -> None:
    """It fails at the start, before it claims a clip."""
    script = (
        "from ml import checkpoint_info; from tasks.remote import RemoteClassifier; "
        "RemoteClassifier(checkpoint_info.SHIPPED)"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("MODAL_")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, env=env | {"MODAL_CONFIG_PATH": os.devnull},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "AuthError" in done.stderr
