"""The mask decoder: a small network that draws which part of a sound a class depends on.

It reads the stages of the classifier's network from one forward pass and returns a mask for each
class that is asked for. `training.explain` trains one for a checkpoint. The method is that of L-MAC
(Paissan et al., 2024, arXiv 2403.13086), with the class as an input; see docs/explanations.md.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.checkpoint_info import CHANNELS
from ml.model import ModelOutput

# The size of a cell of the mask, in mel bands and frames of the spectrogram.
CELL_MELS, CELL_FRAMES = 2, 2
# Channels of the decoder at each stage, from the last to the first, and beside the spectrogram.
WIDTHS = {"layer4": 72, "layer3": 64, "layer2": 48, "layer1": 32}
PICTURE_WIDTH = 24
# Numbers that `own_maps` gives for each place of layer4.
OWN_MAPS = 5


class MaskDecoder(nn.Module):
    """Draw the masks of classes from the stages of one forward pass.

    From layer4 to layer1 each step joins the features so far, enlarged, with those of the stage.
    The class enters twice: an embedding scales and shifts the features of each step, and the
    class's own maps (`own_maps`) say where in the window the network finds it.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.read = nn.ModuleDict()
        self.steps = nn.ModuleDict()
        self.by_class = nn.ModuleDict()
        before = 0
        for stage, width in WIDTHS.items():
            self.read[stage] = _convolution(CHANNELS[stage], width, 1)
            # The class's own maps join where they are still about as fine as the features.
            own = OWN_MAPS if stage in ("layer4", "layer3") else 1
            self.steps[stage] = _convolution(width + before + own, width, 3)
            embedding = self.by_class[stage] = nn.Embedding(classes, 2 * width)
            nn.init.normal_(embedding.weight, std=0.1)
            before = width
        self.refine = _convolution(before + 2, PICTURE_WIDTH, 3)
        self.last = nn.Conv2d(PICTURE_WIDTH, 1, 3, padding=1)

    def forward(self, output: ModelOutput, head: nn.Linear, classes: Tensor) -> Tensor:
        """Return the logits of masks.

        Parameters
        ----------
        output : ModelOutput
            Of the classifier's network, in any precision.
        head : nn.Linear
            The last layer of that network.
        classes : (batch, k) int

        Returns
        -------
        Tensor
            (batch, k, H, W) float32, a cell for every two bands and two frames of the spectrogram.
            A sigmoid makes a mask of them.
        """
        count = classes.shape[1]
        asked = classes.flatten()
        own = own_maps(output.maps["layer4"], head, classes).flatten(0, 1)
        x: Tensor | None = None
        for stage in WIDTHS:
            values = self.read[stage](output.maps[stage].float())
            values = values.repeat_interleave(count, 0)
            if x is not None:
                size = (values.shape[2], values.shape[3])
                own = enlarged(own, size)
                values = torch.cat([values, enlarged(x, size)], 1)
            shown = own if stage in ("layer4", "layer3") else own[:, :1]
            scale, shift = self.by_class[stage](asked)[:, :, None, None].chunk(2, 1)
            x = F.relu(self.steps[stage](torch.cat([values, shown], 1)) * (1 + scale) + shift)
        picture = F.avg_pool2d(output.picture.float(), (CELL_MELS, CELL_FRAMES), ceil_mode=True)
        picture = picture.repeat_interleave(count, 0)
        size = (picture.shape[2], picture.shape[3])
        assert x is not None  # there are stages
        fine = torch.cat([enlarged(x, size), enlarged(own[:, :1], size), picture], 1)
        logits = self.last(F.relu(self.refine(fine)))
        return logits.view(len(classes), count, *size)


def own_maps(last: Tensor, head: nn.Linear, classes: Tensor) -> Tensor:
    """Return what the places of the last stage say of each class, each number about 0 to 1.

    Parameters
    ----------
    last : (batch, 512, h, w)
        The last stage, layer4.
    head : nn.Linear
        The last layer of the network, which at one place gives the logits of that place.
    classes : (batch, k) int

    Returns
    -------
    Tensor
        (batch, k, OWN_MAPS, h, w): the logit of the place (the class activation map of Zhou et
        al., 2016) as a share of the largest in the window, and by itself; the probability of the
        class at that place, among all classes; and the same two for the window as a whole.
    """
    places = F.conv2d(last.float(), head.weight.float()[:, :, None, None], head.bias.float())
    rows = torch.arange(len(places), device=places.device)[:, None]
    mine = places[rows, classes]  # (batch, k, h, w)
    likely = places.softmax(1)[rows, classes]
    whole = places.mean((2, 3))
    found = [
        mine.clamp_min(0) / mine.amax((2, 3), keepdim=True).clamp_min(1.0),
        mine / 10,
        likely,
        (whole[rows, classes] / 10)[..., None, None].expand_as(mine),
        whole.softmax(1)[rows, classes][..., None, None].expand_as(mine),
    ]
    return torch.stack(found, 2)


def enlarged(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample features to the next stage before them, which has about twice as many places.

    Place i lies on place 2 i of that stage, so plain stretching would shift them by half a place.

    Parameters
    ----------
    values : (batch, channels, h, w)
    size : (H, W), at most 2 h and 2 w
    """
    height, width = (2 * count - 1 for count in values.shape[2:])
    exact = F.interpolate(values, (height, width), mode="bilinear", align_corners=True)
    beyond = (0, max(size[1] - width, 0), 0, max(size[0] - height, 0))
    return F.pad(exact, beyond, mode="replicate")[:, :, : size[0], : size[1]]


def _convolution(channels_in: int, channels: int, size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, size, padding=size // 2, bias=False),
        nn.BatchNorm2d(channels),
    )
