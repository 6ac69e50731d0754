"""Tests of the reading and the computing of a teacher's file."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests import fixtures
from training.config import HERE, SettingError
from training.distil.network import GraphNetwork
from training.distil.onnx_file import read_graph
from training.distil.teacher import Teacher, TeacherMel, teacher_name
from training.tests import onnx_writer

MN04 = HERE.parent / "shared" / "data" / "teacher" / "mn04_as.onnx"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_writer.tiny_teacher(tmp_path_factory.mktemp("teacher") / "tiny.onnx")


# --- the file -----------------------------------------------------------------------------


def test_a_graph_gives_the_same_result_as_the_same_network_in_pytorch(path: Path) -> None:
    graph = read_graph(path)
    w = graph.constants
    picture = torch.randn(3, 1, 128, 20, generator=torch.Generator().manual_seed(1))
    conv = F.conv2d(picture, w["kernel"], w["bias"], stride=(16, 5), padding=(0, 2))
    swish = F.hardswish(conv)
    hidden = F.relu(F.linear(swish.amax((2, 3)), w["in"], w["in_bias"]))
    gate = torch.sigmoid(F.linear(hidden, w["out"], w["out_bias"]))
    features = (swish * gate[:, :, None, None] + conv).mean((2, 3))
    logits = F.linear(features, w["classes"], w["classes_bias"])

    computed = GraphNetwork(graph, ("features", "logits"))(picture)
    assert torch.allclose(computed[0], features, atol=1e-6)
    assert torch.allclose(computed[1], logits, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 5])
def test_any_batch_and_length_is_accepted(path: Path, batch: int) -> None:
    network = GraphNetwork(read_graph(path), ("features", "logits"))
    for frames in (15, 50):
        features, logits = network(torch.zeros(batch, 1, 128, frames))
        assert (features.shape, logits.shape) == ((batch, 6), (batch, 4))


def test_a_hard_sigmoid_and_a_grouped_convolution(tmp_path: Path) -> None:
    kernel = np.ones((2, 1, 3, 3), np.float32)
    nodes = [
        onnx_writer.node("Conv", "x kernel", "conv", group=2, pads=[2] * 4, dilations=[2, 2]),
        onnx_writer.node("HardSigmoid", "conv", "y", alpha=0.5, beta=0.25),
        onnx_writer.node("Flatten", "y", "flat", axis=1),
    ]
    file = tmp_path / "two.onnx"
    file.write_bytes(onnx_writer.model(nodes, {"kernel": kernel}, "x kernel", "flat"))
    x = torch.linspace(-1, 1, 32).reshape(1, 2, 4, 4)
    conv = F.conv2d(x, torch.from_numpy(kernel), groups=2, padding=2, dilation=2)
    (computed,) = GraphNetwork(read_graph(file), ("flat",))(x)
    assert torch.allclose(computed, (0.5 * conv + 0.25).clamp(0, 1).flatten(1))


def test_a_convolution_with_automatic_padding_is_refused(tmp_path: Path) -> None:
    kernel = np.ones((1, 1, 3, 3), np.float32)
    x = torch.zeros(1, 1, 4, 4)
    file = tmp_path / "padded.onnx"

    def network(auto_pad: str) -> GraphNetwork:
        nodes = [onnx_writer.node("Conv", "x kernel", "y", auto_pad=auto_pad)]
        file.write_bytes(onnx_writer.model(nodes, {"kernel": kernel}, "x kernel", "y"))
        return GraphNetwork(read_graph(file), ("y",))

    for allowed in ("NOTSET", "VALID"):
        assert network(allowed)(x)[0].shape == (1, 1, 2, 2)
    with pytest.raises(SettingError, match="auto_pad=SAME_UPPER"):
        network("SAME_UPPER")(x)


def test_the_axes_of_a_squeeze_may_be_an_attribute(tmp_path: Path) -> None:
    file = tmp_path / "squeezed.onnx"
    nodes = [onnx_writer.node("Squeeze", "x", "y", axes=[2, 3])]
    file.write_bytes(onnx_writer.model(nodes, {}, "x", "y"))
    (squeezed,) = GraphNetwork(read_graph(file), ("y",))(torch.zeros(1, 5, 1, 1))
    assert squeezed.shape == (1, 5)


def test_mn04_as_computes_what_onnxruntime_does() -> None:
    if not MN04.is_file():
        pytest.skip(f"needs the teacher at {MN04}")
    network = GraphNetwork(read_graph(MN04), ("features", "logits"))
    picture = torch.sin(torch.arange(2 * 128 * 150, dtype=torch.float64) * 0.37).float()
    with torch.inference_mode():
        features, logits = network(picture.reshape(2, 1, 128, 150))
    # From onnxruntime 1.32.
    expected = [-7.33805, -11.118759, -11.214848, -11.624959]
    assert logits[1, :4].tolist() == pytest.approx(expected, abs=2e-5)
    assert features.mean(1).tolist() == pytest.approx([0.1130453, 0.1110928], abs=1e-5)


def test_what_is_not_a_teacher_is_refused_with_the_reason(path: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="There is no teacher"):
        read_graph(tmp_path / "none.onnx")
    broken = tmp_path / "broken.onnx"
    whole = path.read_bytes()
    for content in (b"", b"RIFF" + bytes(60), whole[:-9], b"\xff" * 40):
        broken.write_bytes(content)
        with pytest.raises(SettingError, match=r"broken\.onnx is not an ONNX file"):
            read_graph(broken)
    nodes = [onnx_writer.node("Softmax", "spec", "logits")]
    broken.write_bytes(onnx_writer.model(nodes, {}, "spec", "logits features"))
    with pytest.raises(SettingError, match="unknown operators: Softmax"):
        Teacher(broken, 32_000)
    nodes = [onnx_writer.node("Relu", "spec", "logits")]
    broken.write_bytes(onnx_writer.model(nodes, {}, "spec", "logits"))
    with pytest.raises(SettingError, match="outputs features and logits; it has spec and logits"):
        Teacher(broken, 32_000)
    nodes.append(onnx_writer.node("Relu", "nothing", "features"))
    broken.write_bytes(onnx_writer.model(nodes, {}, "spec", "logits features"))
    with pytest.raises(SettingError, match="does not run"):
        Teacher(broken, 32_000)
    # A list of sizes where a tensor is needed.
    nodes = [onnx_writer.node("Shape", "spec", "features"),
             onnx_writer.node("Flatten", "features", "logits")]  # fmt: skip
    broken.write_bytes(onnx_writer.model(nodes, {}, "spec", "logits features"))
    with pytest.raises(SettingError, match="does not run"):
        Teacher(broken, 32_000)


# --- its spectrogram ----------------------------------------------------------------------


def test_the_spectrogram_of_silence_and_of_one_frame() -> None:
    mel = TeacherMel(32_000)
    assert mel(torch.zeros(2, 3200)).unique().tolist() == pytest.approx(
        [(math.log(1e-5) + 4.5) / 5]
    )
    waveform = fixtures.noise(0.1, 32_000)
    emphasised = waveform[1:] - 0.97 * waveform[:-1]
    frame = emphasised[5 * 320 - 512 : 5 * 320 + 512] * np.pad(np.hanning(800), 112)
    power = np.abs(np.fft.rfft(frame)) ** 2

    def mels(hz: float) -> float:
        return 1127 * math.log(1 + hz / 700)

    edges = np.linspace(0, mels(15_000), 130)
    bins = np.array([mels(n * 31.25) for n in range(513)])
    picture = mel(torch.from_numpy(waveform)[None])
    for band in (0, 40, 127):
        low, middle, high = edges[band : band + 3]
        weights = np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle))
        expected = (math.log(weights.clip(0) @ power + 1e-5) + 4.5) / 5
        assert picture[0, 0, band, 5].item() == pytest.approx(expected, abs=1e-3)


def test_other_sample_rates_are_resampled() -> None:
    one, other = (
        TeacherMel(rate)(torch.from_numpy(fixtures.tone(1000, 0.5, rate))[None])
        for rate in (32_000, 16_000)
    )
    assert one.shape == other.shape
    assert one.mean(3).argmax() == other.mean(3).argmax()


def test_the_name_of_the_teacher_comes_from_its_file() -> None:
    assert teacher_name(Path("a/mn04_as.onnx")) == "EfficientAT mn04_as (AudioSet, MIT)"
    assert teacher_name(Path("mine.onnx")) == "mine"
