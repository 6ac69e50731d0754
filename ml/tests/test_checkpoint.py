import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ml import checkpoint, checkpoint_info
from ml.checkpoint_info import (
    CheckpointError,
    CheckpointInfo,
    EmbeddingStatistics,
    Rejection,
)
from ml.model import AudioCNN


@pytest.fixture
def saved(tmp_path: Path, network: AudioCNN, info: CheckpointInfo) -> Path:
    path = tmp_path / "deep" / "tiny.safetensors"
    checkpoint.save(path, network.state_dict(), info)
    return path


def test_loading_restores_weights_and_header(
    saved: Path, network: AudioCNN, info: CheckpointInfo
) -> None:
    assert checkpoint_info.read_info(saved) == info
    model = checkpoint.load_model(saved, info)
    assert not model.training
    before = network.state_dict()
    after = model.state_dict()
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert after[name].dtype == value.dtype
        assert torch.allclose(value.float(), after[name].float(), rtol=1e-3, atol=1e-6)
    picture = torch.randn(1, 1, 128, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, answered = (m(picture).logits.softmax(1) for m in (network, model))
    assert torch.allclose(expected, answered, atol=0.01)


def test_it_is_saved_in_fp16_without_a_partial_file(saved: Path) -> None:
    parameters = sum(p.numel() for p in AudioCNN(5).parameters())
    assert saved.stat().st_size < 2.1 * parameters
    assert [path.name for path in saved.parent.iterdir()] == ["tiny.safetensors"]


def test_saving_again_replaces_the_older_one(
    saved: Path, network: AudioCNN, info: CheckpointInfo
) -> None:
    newer = dataclasses.replace(info, accuracy={"fold 4": 0.9})
    checkpoint.save(saved, network.state_dict(), newer)
    assert checkpoint_info.read_info(saved).accuracy == {"fold 4": 0.9}


def test_identity_is_the_name_and_the_start_of_the_hash(saved: Path) -> None:
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    assert checkpoint_info.identity(saved) == f"tiny@{digest[:12]}"


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.safetensors", tmp_path):
        with pytest.raises(CheckpointError, match="no checkpoint at") as caught:
            checkpoint_info.read_info(path)
        assert str(path) in str(caught.value)


def test_weights_without_a_sonoscope_header_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": torch.zeros(3)}, path, metadata=metadata)
        with pytest.raises(CheckpointError, match=r"plain\.safetensors .* without a Sonoscope"):
            checkpoint_info.read_info(path)


@pytest.mark.parametrize("data", [b"", b"garbage", bytes(5000), b"PK\x03\x04" + bytes(100)])
def test_garbage_is_rejected(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "garbage.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"garbage\.safetensors is not a readable"):
        checkpoint_info.read_info(path)


@pytest.mark.parametrize("header", ["{}", "[1, 2]", "not json", '{"features": {"pitch": 3}}'])
def test_an_invalid_header_is_rejected(tmp_path: Path, header: str) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata={checkpoint_info.HEADER_KEY: header})
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        checkpoint_info.read_info(path)


@pytest.mark.parametrize(
    "damage",
    [
        {"threshold": float("nan")},
        {"threshold": "low"},
        {"threshold": None},
        {"right_flagged": None},
        {"outside_flagged": {}, "auroc": {}},
        {"auroc": {"speech": 0.8}},
        {"auroc": {"hum": None}},
    ],
)
def test_an_invalid_threshold_or_rate_of_not_sure_is_rejected(
    saved: Path, network: AudioCNN, info: CheckpointInfo, damage: dict[str, Any]
) -> None:
    statistics = EmbeddingStatistics("", "", (), 1.0)
    rates = {"hum": 0.5}
    valid = Rejection("class_distance", -900.0, statistics, 4, 0.05, 0.3, rates, rates)
    for rejection in (valid, dataclasses.replace(valid, **damage)):
        changed = dataclasses.replace(info, rejection=rejection)
        checkpoint.save(saved, network.state_dict(), changed)
        if rejection is valid:
            assert checkpoint_info.read_info(saved) == changed
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        checkpoint_info.read_info(saved)


def test_a_truncated_checkpoint_is_rejected(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        checkpoint_info.read_info(saved)


def test_another_architecture_is_rejected(
    saved: Path, network: AudioCNN, info: CheckpointInfo
) -> None:
    other = dataclasses.replace(info, architecture="Transformer")
    checkpoint.save(saved, network.state_dict(), other)
    with pytest.raises(CheckpointError, match="contains a Transformer"):
        checkpoint_info.read_info(saved)


def test_weights_that_do_not_fit_are_rejected(saved: Path, info: CheckpointInfo) -> None:
    checkpoint.save(saved, AudioCNN(3).state_dict(), info)
    with pytest.raises(CheckpointError, match="does not match the network"):
        checkpoint.load_model(saved, checkpoint_info.read_info(saved))


def test_the_environment_chooses_the_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKPOINT", "/somewhere/else.safetensors")
    assert checkpoint_info.default_path() == Path("/somewhere/else.safetensors")
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("CHECKPOINT")
        else:
            monkeypatch.setenv("CHECKPOINT", unset)
        assert checkpoint_info.default_path() == checkpoint_info.SHIPPED
