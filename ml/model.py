"""AudioCNN: a 3-4-6-3 residual network over one log-mel picture.

Parameter names are those of the Audio CNN Visualizer's network, so its weights load.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.checkpoint_info import BLOCKS


@dataclass(slots=True)
class ModelOutput:
    """One forward pass.

    logits: (batch, classes) · pooled: (batch, 512) · maps: name → (batch, channels, height, width),
    height along frequency (row 0 is the lowest), width along time · picture: what was heard,
    (batch, 1, mels, frames).
    """

    logits: Tensor
    pooled: Tensor
    maps: dict[str, Tensor]
    picture: Tensor


class ResidualBlock(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
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
        """(batch, channels_in, H, W) → the sum before its ReLU, and after it."""
        out = F.relu(self.bn1(self.conv1(x)))
        total = self.bn2(self.conv2(out)) + self.shortcut(x)
        return total, F.relu(total)


def _layer(channels_in: int, channels: int, blocks: int, stride: int) -> nn.ModuleList:
    first = ResidualBlock(channels_in, channels, stride)
    rest = [ResidualBlock(channels, channels, 1) for _ in range(blocks - 1)]
    return nn.ModuleList([first, *rest])


class AudioCNN(nn.Module):
    """log-mel (batch, 1, mels, frames), normalised → `ModelOutput`."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False),
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
