import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ml.checkpoint_info import BLOCKS, STAGES, map_names
from ml.model import AudioCNN, ModelOutput, StridedConv2d


def original_parameters(classes: int) -> dict[str, tuple[int, ...]]:
    """Every parameter and buffer of the Audio CNN Visualizer's network, with its shape."""

    def norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
        parts = ("weight", "bias", "running_mean", "running_var")
        return {f"{name}.{part}": (channels,) for part in parts} | {
            f"{name}.num_batches_tracked": ()
        }

    shapes: dict[str, tuple[int, ...]] = {"conv1.0.weight": (64, 1, 7, 7)} | norm("conv1.1", 64)
    before = 64
    for layer, blocks, channels in (
        ("layer1", 3, 64),
        ("layer2", 4, 128),
        ("layer3", 6, 256),
        ("layer4", 3, 512),
    ):
        for number in range(blocks):
            name = f"{layer}.{number}"
            shapes[f"{name}.conv1.weight"] = (channels, before, 3, 3)
            shapes |= norm(f"{name}.bn1", channels)
            shapes[f"{name}.conv2.weight"] = (channels, channels, 3, 3)
            shapes |= norm(f"{name}.bn2", channels)
            if before != channels:
                shapes[f"{name}.shortcut.0.weight"] = (channels, before, 1, 1)
                shapes |= norm(f"{name}.shortcut.1", channels)
            before = channels
    return shapes | {"fc.weight": (classes, 512), "fc.bias": (classes,)}


@pytest.fixture(scope="module")
def output() -> ModelOutput:
    torch.manual_seed(1)
    model = AudioCNN(7).eval()
    with torch.inference_mode():
        return model(torch.randn(2, 1, 128, 313))


def test_the_originals_weights_fit_by_name_and_shape() -> None:
    ours = {name: tuple(value.shape) for name, value in AudioCNN(50).state_dict().items()}
    assert ours == original_parameters(50)


def test_copied_weights_give_the_same_outputs() -> None:
    torch.manual_seed(1)
    one, other = AudioCNN(7).eval(), AudioCNN(7).eval()
    picture = torch.randn(1, 1, 64, 40)
    with torch.inference_mode():
        assert not torch.allclose(one(picture).logits, other(picture).logits)
        other.load_state_dict(one.state_dict())
        assert torch.equal(one(picture).logits, other(picture).logits)


def test_all_37_maps_come_out_in_order(output: ModelOutput) -> None:
    assert tuple(output.maps) == map_names()
    assert len(map_names()) == 37
    assert map_names()[:4] == ("conv1", "layer1.block0.conv", "layer1.block0.relu",
                               "layer1.block1.conv")  # fmt: skip
    assert map_names()[-1] == "layer4"
    assert [name for name in map_names() if "." not in name] == list(STAGES)


def test_the_stages_have_the_originals_shapes(output: ModelOutput) -> None:
    assert {stage: tuple(output.maps[stage].shape) for stage in STAGES} == {
        "conv1": (2, 64, 32, 79),
        "layer1": (2, 64, 32, 79),
        "layer2": (2, 128, 16, 40),
        "layer3": (2, 256, 8, 20),
        "layer4": (2, 512, 4, 10),
    }
    assert output.logits.shape == (2, 7)
    assert output.pooled.shape == (2, 512)


def test_each_layers_map_is_the_output_of_its_last_block(output: ModelOutput) -> None:
    for layer, blocks in BLOCKS.items():
        assert torch.equal(output.maps[layer], output.maps[f"{layer}.block{blocks - 1}.relu"])
        for block in range(blocks):
            before = output.maps[f"{layer}.block{block}.conv"]
            assert float(before.min()) < 0
            assert torch.equal(output.maps[f"{layer}.block{block}.relu"], F.relu(before))


def test_pooled_is_the_mean_of_the_last_stage(output: ModelOutput) -> None:
    assert torch.allclose(output.pooled, output.maps["layer4"].mean(dim=(2, 3)), atol=1e-5)


def relative_error(value: Tensor, exact: Tensor) -> float:
    return float((value.float() - exact).norm() / exact.norm())


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_strided_convolutions_are_right_in_bf16_for_any_width(width: int) -> None:
    torch.manual_seed(1)
    # Rounded to bf16, so that only the arithmetic differs between the two precisions.
    weight = torch.randn(512, 256, 3, 3).div(48).bfloat16().float()
    picture = torch.randn(4, 256, 8, width).bfloat16().float()
    found = []
    for convolution, enabled in (
        (torch.nn.Conv2d(256, 512, 3, stride=2, padding=1, bias=False), False),
        (StridedConv2d(256, 512, 3, stride=2, padding=1, bias=False), True),
    ):
        convolution.weight.data = weight.contiguous(memory_format=torch.channels_last)
        seen = picture.contiguous(memory_format=torch.channels_last).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output = convolution(seen)
        output.float().square().sum().backward()
        found.append((output.detach(), seen.grad, convolution.weight.grad))
    for exact, value in zip(*found, strict=True):
        assert value.shape == exact.shape
        assert relative_error(value, exact) < 0.02
