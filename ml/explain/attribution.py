"""Attribution: which parts of the spectrogram contributed to a class."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ml.checkpoint_info import STAGES
from ml.model import ModelOutput
from ml.places import LAYER4_STEP

# The size of a cell of attribution, in mel bands and frames of the spectrogram.
CELL_MELS, CELL_FRAMES = 2, 3


def attribution(output: ModelOutput, silence: float, classes: Tensor) -> Tensor:
    """Compute how much each cell of the picture contributed to each class.

    Two views from one backward pass are multiplied, as in Guided Grad-CAM (Selvaraju et al.,
    2017). See docs/explanations.md.

    - fine: what each cell of the spectrogram adds to the class' logit compared with silence
      there, to first order (gradient × input; Shrikumar et al., 2017);
    - coarse: what each place of the last stage adds to it (Grad-CAM, here the same as the class
      activation map of Zhou et al., 2016). It separates two sounds in one window.

    Parameters
    ----------
    output : ModelOutput
        Of a pass with gradients up to its picture.
    silence : float
        The value of a silent cell in that picture.
    classes : (batch, k) int

    Returns
    -------
    Tensor
        (batch, k, H, W) float32 in [0, 1]: the square root of the product divided by its largest
        cell. All cells are 0 for a class to which no place of the last stage contributed.
    """
    found = []
    for column in classes.T:
        score = output.logits.gather(1, column[:, None]).sum()
        sources = [output.picture, output.maps["layer4"]]
        for_cells, for_places = torch.autograd.grad(score, sources, retain_graph=True)
        found.append(_attribution(output, silence, for_cells, for_places))
    return torch.stack(found, dim=1)


def channel_contributions(output: ModelOutput, classes: Tensor) -> dict[str, Tensor]:
    """Compute the contribution of each channel of each stage to a class.

    Parameters
    ----------
    output : ModelOutput
        Of a pass with gradients.
    classes : (batch,) int

    Returns
    -------
    dict of str to Tensor
        Stage to (batch, channels): activation times gradient of the class' logit, summed over
        the feature map.
    """
    score = output.logits.gather(1, classes[:, None]).sum()
    return _contributions(output, torch.autograd.grad(score, _stages(output), retain_graph=True))


def both(output: ModelOutput, silence: float, classes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute `attribution`, (batch, H, W), and `channel_contributions` in one backward pass.

    Parameters
    ----------
    output : ModelOutput
        Of a pass with gradients up to its picture.
    silence : float
        The value of a silent cell in that picture.
    classes : (batch,) int
    """
    score = output.logits.gather(1, classes[:, None]).sum()
    for_cells, *for_stages = torch.autograd.grad(score, [output.picture, *_stages(output)])
    found = _attribution(output, silence, for_cells, for_stages[-1])
    return found, _contributions(output, for_stages)


def _stages(output: ModelOutput) -> list[Tensor]:
    return [output.maps[stage] for stage in STAGES]


def _contributions(output: ModelOutput, gradients: Sequence[Tensor]) -> dict[str, Tensor]:
    return {
        stage: (gradient * value).detach().float().sum((2, 3))
        for stage, gradient, value in zip(STAGES, gradients, _stages(output), strict=True)
    }


def _attribution(
    output: ModelOutput, silence: float, for_cells: Tensor, for_places: Tensor
) -> Tensor:
    """Multiply the fine and the coarse view; the gradients are those of picture and layer4."""
    last, picture = output.maps["layer4"], output.picture
    mels, frames = picture.shape[-2:]
    size = (-(-mels // CELL_MELS), -(-frames // CELL_FRAMES))
    added = (for_cells * (picture - silence)).detach().float().sum(1).clamp_min(0)
    fine = F.interpolate(added[:, None], size, mode="area")[:, 0]
    places = (for_places * last).detach().float().sum(1).clamp_min(0)
    product = fine * _over_picture(places, (mels, frames), size)
    largest = product.amax((1, 2), keepdim=True).clamp_min(torch.finfo(product.dtype).tiny)
    return (product / largest).sqrt()


def _over_picture(places: Tensor, picture: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Resample (batch, h, w) of layer4 to (batch, *size) cells that divide the picture evenly.

    Plain stretching would be wrong: the centre of the first place lies on the picture's edge.
    """
    height, width = (
        ((torch.arange(cells, device=places.device) + 0.5) * length / cells - 0.5) / LAYER4_STEP
        for length, cells in zip(picture, size, strict=True)
    )
    # grid_sample takes coordinates from -1 to 1, and repeats the last place beyond it.
    height = height / max(places.shape[1] - 1, 1) * 2 - 1
    width = width / max(places.shape[2] - 1, 1) * 2 - 1
    grid = torch.stack(torch.meshgrid(width, height, indexing="xy"), dim=-1)
    return F.grid_sample(
        places[:, None],
        grid.expand(len(places), -1, -1, -1),
        padding_mode="border",
        align_corners=True,
    )[:, 0]
