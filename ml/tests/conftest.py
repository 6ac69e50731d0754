from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from ml.audio.decode import Limits, Sound, read
from ml.checkpoint_info import CheckpointInfo, FeatureConfig
from ml.model import AudioCNN

RATE_HZ = 32_000
# Half-second windows keep the network's work small; nothing else depends on the length.
SHORT = FeatureConfig(window_s=0.5, mean_db=-40.0, deviation_db=20.0)
CLASSES = ("bell", "chirp", "hiss", "rain", "step")

Decode = Callable[..., Sound]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def decode(tmp_path: Path) -> Decode:
    """Return a function that decodes bytes from a file whose name says nothing about the format."""

    def decode(data: bytes, name: str = "sound.bin", limits: Limits | None = None) -> Sound:
        path = tmp_path / name
        path.write_bytes(data)
        return read(path, RATE_HZ, limits)

    return decode


@pytest.fixture(scope="session")
def network() -> AudioCNN:
    """A seeded random network whose predictions differ from sound to sound."""
    torch.manual_seed(3)
    model = AudioCNN(len(CLASSES)).eval().requires_grad_(False)
    model.fc.weight.mul_(20)
    model.fc.bias.copy_(torch.linspace(-0.2, 0.2, len(CLASSES)))
    return model


@pytest.fixture(scope="session")
def info() -> CheckpointInfo:
    return CheckpointInfo(CLASSES, SHORT, folds_seen=(1, 2, 3), accuracy={"fold 4": 0.5})
