"""What the `modal` command asks for, as its cloud would see it. Nothing here leaves the machine."""

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
from tests.modal_cloud import ModalCloud
from tests.server import ROOT

TRAINING, INFERENCE = "training/modal_job.py", "tasks/modal_app.py"


@pytest.fixture(scope="module")
def inference() -> Iterator[ModalCloud]:
    with ModalCloud() as cloud:
        cloud.command("deploy", INFERENCE)
        yield cloud


@pytest.fixture(scope="module")
def training() -> Iterator[ModalCloud]:
    with ModalCloud() as cloud:
        cloud.command("deploy", TRAINING)
        yield cloud


def build_steps(cloud: ModalCloud) -> list[str]:
    return [
        step for asked in cloud.requests("ImageGetOrCreate")
        for step in asked.image.dockerfile_commands
    ]  # fmt: skip


def files_sent(cloud: ModalCloud) -> set[str]:
    """Where they lie there."""
    mounts = cloud.requests("MountGetOrCreate")
    return {file.filename for mount in mounts for file in mount.files}


def volumes(cloud: ModalCloud, function: Any) -> dict[str, str]:
    """Where each Volume is mounted, by its name."""
    names = [asked.deployment_name for asked in cloud.requests("VolumeGetOrCreate")]
    assert len(function.volume_mounts) <= len(names)
    return dict(zip(names, [mount.mount_path for mount in function.volume_mounts], strict=False))


def test_the_ears_are_an_a10g_that_scales_to_zero(inference: ModalCloud) -> None:
    ears = inference.functions()["InferenceService.*"]
    assert ears.resources.gpu_config.gpu_type == "A10"
    assert ears.resources.gpu_config.count == 1
    assert ears.autoscaler_settings.min_containers == 0
    assert ears.autoscaler_settings.scaledown_window == 60
    assert ears.autoscaler_settings.max_containers == 10
    assert ears.timeout_secs == 120
    assert ears.max_concurrent_inputs == 0  # a Classifier takes one at a time
    assert set(ears.method_definitions) == {"listen", "classify"}


def test_strangers_are_turned_away_before_anything_is_started(inference: ModalCloud) -> None:
    endpoint = (
        inference.functions()["InferenceService.*"].method_definitions["classify"].webhook_config
    )
    assert endpoint.requires_proxy_auth
    assert endpoint.method == "POST"


@pytest.mark.parametrize("cloud", ["inference", "training"])
def test_the_image_is_python_3_11_with_pinned_requirements(
    cloud: str, request: pytest.FixtureRequest
) -> None:
    asked: ModalCloud = request.getfixturevalue(cloud)
    steps = build_steps(asked)
    assert any(step.startswith("FROM python:3.11-slim") for step in steps)
    installs = [step for step in steps if "pip install" in step and "--upgrade pip" not in step]
    assert installs
    assert all(step.endswith("-c /constraints.txt") for step in installs)
    assert "/constraints.txt" in files_sent(asked)
    sent = [file.data.decode() for image in asked.requests("ImageGetOrCreate")
            for file in image.image.context_files]  # fmt: skip
    assert (ROOT / "requirements.txt").read_text() in sent


def test_the_shipped_weights_go_along_under_their_own_name(inference: ModalCloud) -> None:
    place = f"/root/ml/weights/{checkpoint_info.SHIPPED.name}"
    assert place in files_sent(inference)
    assert f"ENV CHECKPOINT={place}" in build_steps(inference)


def test_training_has_a_gpu_volumes_a_limit_and_goes_on_after_an_interruption(
    training: ModalCloud,
) -> None:
    train = training.functions()["train"]
    assert train.resources.gpu_config.gpu_type == "A10"
    assert volumes(training, train) == {"sonoscope-data": "/data", "sonoscope-runs": "/runs"}
    assert train.timeout_secs == 3 * 3600
    assert train.retry_policy.retries == 10
    assert train.single_use_containers


def test_what_needs_no_gpu_has_none(training: ModalCloud) -> None:
    functions = training.functions()
    assert set(functions) == {"train", "prepare", "cross_validate"}
    for name in ("prepare", "cross_validate"):
        assert not functions[name].resources.gpu_config.gpu_type, name
    # Begun anew elsewhere it would start its five runs a second time.
    assert functions["cross_validate"].scheduler_placement.nonpreemptible


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("", {"--folds", "--test-fold", "--epochs", "--seed", "--recipe"}),
        ("::cross_validate", {"--epochs", "--seed", "--recipe"}),
        ("::tensorboard", set()),
        ("::download", {"--run", "--to"}),
    ],
)
def test_modal_run_knows_the_commands_of_the_paper(name: str, options: set[str]) -> None:
    with ModalCloud() as cloud:
        payload = cloud.command("run", TRAINING + name, "--help")
    assert set(re.findall(r"^  (--[a-z-]+)", payload, re.M)) - {"--profile"} == options


@pytest.mark.parametrize(
    ("path", "sources"), [(TRAINING, ("ml", "training")), (INFERENCE, ("ml",))]
)
def test_it_can_be_imported_there_where_only_what_was_sent_lies(
    path: str, sources: tuple[str, ...], tmp_path: Path
) -> None:
    """In a container the file lies beside our packages, and nothing else of ours is there."""
    shutil.copy(ROOT / path, tmp_path)
    for source in sources:
        shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("weights"))
    subprocess.run(
        [sys.executable, "-c", f"import {Path(path).stem}"],
        cwd=tmp_path, check=True, timeout=120,
    )  # fmt: skip


def classified_with_modals_own_client(
    cloud: ModalCloud, seconds: float
) -> "subprocess.CompletedProcess[str]":
    """As a worker does it, in a process that knows this cloud only: its probabilities, as JSON."""
    script = (
        "import json; from ml import checkpoint_info; "
        "from tasks.remote import RemoteClassifier; from tests import fixtures; "
        "there = RemoteClassifier(checkpoint_info.SHIPPED); "
        f"result, = there.classify([fixtures.noise({seconds})]); "
        "print(json.dumps(result.probabilities.tolist()))"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, env=os.environ | cloud.settings, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_modals_own_client_carries_a_clip_there_and_its_result_back() -> None:
    ears: Any = InferenceService()
    with ModalCloud(ears.predict.local) as cloud:
        done = classified_with_modals_own_client(cloud, 6.0)
    assert done.returncode == 0, done.stderr
    here = Classifier.load(checkpoint_info.SHIPPED).classify([fixtures.noise(6.0)])[0]
    assert json.loads(done.stdout) == pytest.approx(here.probabilities.tolist(), abs=2e-3)
    (found,) = cloud.requests("FunctionGet")
    assert (found.app_name, found.object_tag) == ("sonoscope-inference", "InferenceService.*")
    (call,) = cloud.requests("FunctionMap")
    assert call.pipelined_inputs[0].input.method_name == "listen"


def test_a_refusal_comes_through_modals_own_client_as_one_sentence() -> None:
    def refuse(identity: str, waveforms: list[bytes]) -> None:
        raise ValueError(f"Not {identity}")

    with ModalCloud(refuse) as cloud:
        done = classified_with_modals_own_client(cloud, 1.0)
    assert "RemoteError: Modal: ValueError: Not esc50-folds1234@" in done.stderr


def test_without_an_account_a_worker_takes_no_clips() -> None:
    """It is told when it starts, before any clip is claimed."""
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
