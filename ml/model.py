"""AudioCNN: a 3-4-6-3 residual network over one log-mel spectrogram.

The parameters have the names of the Audio CNN Visualizer's network, so its weights load.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.checkpoint_info import BLOCKS


@dataclass(slots=True)
class ModelOutput:
    """The output of one forward pass.

    Attributes
    ----------
    logits : (batch, classes)
    pooled : (batch, 512)
        The mean of each channel of the last stage.
    maps : map name to (batch, channels, height, width)
        Height runs along frequency (row 0 is the lowest), width along time.
    picture : (batch, 1, mels, frames)
        The input of the pass.
    """

    logits: Tensor
    pooled: Tensor
    maps: dict[str, Tensor]
    picture: Tensor


class StridedConv2d(nn.Conv2d):
    """A convolution that works around a fault of oneDNN in bfloat16.

    On processors with AMX, oneDNN 3.12.0 reads uninitialised memory where a stride of 2 leaves a
    single column of output: values and gradients are wrong, and sometimes NaN. On a CPU, such an
    input is padded with zeros until there is a second column, which is then dropped. Remove this
    class when PyTorch no longer needs it: https://github.com/pytorch/pytorch/issues/169688
    """

    def forward(self, input: Tensor) -> Tensor:
        stride, width = self.stride[1], input.shape[-1]
        if input.device.type != "cpu" or stride == 1 or width > stride:
            return super().forward(input)
        return super().forward(F.pad(input, (0, stride + 1 - width)))[..., :1]


class ResidualBlock(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = StridedConv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run the block.

        Parameters
        ----------
        x : (batch, channels_in, H, W)

        Returns
        -------
        tuple of Tensor
            The sum before its ReLU and after it, each (batch, channels, H / stride, W / stride),
            rounded up.
        """
        out = F.relu(self.bn1(self.conv1(x)))
        total = self.bn2(self.conv2(out)) + self.shortcut(x)
        return total, F.relu(total)


def _layer(channels_in: int, channels: int, blocks: int, stride: int) -> nn.ModuleList:
    first = ResidualBlock(channels_in, channels, stride)
    rest = [ResidualBlock(channels, channels, 1) for _ in range(blocks - 1)]
    return nn.ModuleList([first, *rest])


class AudioCNN(nn.Module):
    """The network. It maps a normalised log-mel spectrogram to class logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            StridedConv2d(1, 64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.layer1 = _layer(64, 64, BLOCKS["layer1"], 1)
        self.layer2 = _layer(64, 128, BLOCKS["layer2"], 2)
        self.layer3 = _layer(128, 256, BLOCKS["layer3"], 2)
        self.layer4 = _layer(256, 512, BLOCKS["layer4"], 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(512, classes)

    def forward(self, log_mel: Tensor) -> ModelOutput:
        """Run the network and keep every feature map.

        Parameters
        ----------
        log_mel : (batch, 1, mels, frames), normalised
        """
        maps: dict[str, Tensor] = {}
        x = maps["conv1"] = self.conv1(log_mel)
        for layer in BLOCKS:
            for index, block in enumerate(getattr(self, layer)):
                total, x = block(x)
                maps[f"{layer}.block{index}.conv"] = total
                maps[f"{layer}.block{index}.relu"] = x
            maps[layer] = x
        pooled = torch.flatten(self.avgpool(x), 1)
        return ModelOutput(self.fc(self.dropout(pooled)), pooled, maps, log_mel)
