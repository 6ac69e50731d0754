"""One forward pass over windows: all that an analysis shows of the network."""

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ml.explain.results import Activations, Array
from ml.model import AudioCNN, ModelOutput
from ml.places import LAYER4_STEP, LEVEL_FRAMES, Places


@dataclass(frozen=True, slots=True)
class Outputs:
    """The outputs of one forward pass.

    Attributes
    ----------
    logits : (batch, classes) float32
    pooled : (batch, 512) float32
    places : (batch, classes, h, w) float32
        The logits of each place of layer4, whose mean over the places is `logits`.
    bands : (batch, mels, w) float32
        The loudest value of each band near each column of `places`, normalised.
    levels : (batch, cells) float32
        The mean of all bands in cells of LEVEL_FRAMES, normalised.
    means : dict of str to (batch, H, W) float32
        The mean of each feature map over its channels, by name, in the order of the data flow;
        empty if they were not asked for.
    """

    logits: Array
    pooled: Array
    places: Array
    bands: Array
    levels: Array
    means: dict[str, Array]

    def _arrays(self) -> list[Array]:
        mine = [self.logits, self.pooled, self.places, self.bands, self.levels]
        return [*mine, *self.means.values()]

    def finite(self) -> NDArray[np.bool_]:
        """Return whether all values of each window are finite, (batch,)."""
        found = np.ones(len(self.logits), bool)
        for values in self._arrays():
            found &= np.isfinite(values).reshape(len(values), -1).all(axis=1)
        return found

    def replace(self, rows: Sequence[int], others: "Outputs") -> None:
        """Overwrite the windows in `rows` with those of another pass."""
        for values, replacement in zip(self._arrays(), others._arrays(), strict=True):
            values[rows] = replacement

    @classmethod
    def joined(cls, parts: Sequence["Outputs"]) -> "Outputs":
        """Return the outputs of several passes as those of one."""
        return cls(
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.pooled for part in parts]),
            np.concatenate([part.places for part in parts]),
            np.concatenate([part.bands for part in parts]),
            np.concatenate([part.levels for part in parts]),
            {name: np.concatenate([part.means[name] for part in parts]) for name in parts[0].means},
        )

    def windows(self) -> Iterator[tuple[Activations, Places]]:
        """Yield what was computed for each window. The arrays are views of the batch's."""
        for row in range(len(self.logits)):
            maps = {name: values[row] for name, values in self.means.items()}
            activations = Activations(self.logits[row], self.pooled[row], maps)
            yield activations, Places(self.places[row], self.bands[row], self.levels[row])


class ParallelPasses:
    """Divide a batch on the CPU into parts that run side by side, each on one thread of PyTorch.

    Faster than one pass with all threads, above all beside other work: no thread waits for the
    others after each operator. docs/decisions.md has the figures.
    """

    def __init__(self) -> None:
        self._parts = torch.get_num_threads()
        self._threads = ThreadPoolExecutor(
            self._parts, "forward", initializer=torch.set_num_threads, initargs=(1,)
        )

    def run(
        self, compute: Callable[[Sequence[Array]], Outputs], windows: Sequence[Array]
    ) -> Outputs:
        """Return what `compute` returns for the windows. One window gets all threads."""
        if min(self._parts, len(windows)) == 1:
            return compute(windows)
        size = -(-len(windows) // self._parts)
        parts = [windows[first : first + size] for first in range(0, len(windows), size)]
        try:
            return Outputs.joined(list(self._threads.map(compute, parts)))
        finally:
            # The number is kept per thread, but threads that start later get the last one set.
            torch.set_num_threads(self._parts)


def folded(model: AudioCNN, precision: torch.dtype) -> AudioCNN:
    """Return a copy for forward passes, which computes the same in less time.

    Its batch norms are folded into the convolutions before them, and its weights are in
    `precision`. docs/decisions.md compares it with other engines.
    """
    model = copy.deepcopy(model).eval()
    for module in list(model.modules()):
        # A batch norm is registered after its convolution, in blocks and in sequences.
        for (conv, before), (norm, after) in itertools.pairwise(list(module.named_children())):
            if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                setattr(module, conv, fuse_conv_bn_eval(before, after))
                setattr(module, norm, nn.Identity())
    return model.to(precision).to(memory_format=torch.channels_last)


@torch.inference_mode()
def forward(model: AudioCNN, pictures: Tensor, maps: bool) -> Outputs:
    """Run the network once, in the precision of its weights.

    Parameters
    ----------
    pictures : (batch, 1, mels, frames), normalised
    maps : bool
        Whether to compute the means of the feature maps.
    """
    output = model(pictures.to(model.fc.weight.dtype))
    means: dict[str, Array] = {}
    seen: dict[int, Array] = {}
    for name, values in output.maps.items() if maps else ():
        # A layer's own map is its last block's: the same tensor.
        if id(values) not in seen:
            seen[id(values)] = _array(_mean_of_channels(values))
        means[name] = seen[id(values)]
    return Outputs(
        logits=_array(output.logits),
        pooled=_array(output.pooled),
        places=_array(_places(output, model.fc)),
        bands=_array(_bands(pictures)),
        levels=_array(F.avg_pool1d(pictures.mean((1, 2))[:, None], LEVEL_FRAMES)[:, 0]),
        means=means,
    )


def _places(output: ModelOutput, head: nn.Linear) -> Tensor:
    """Return the last layer's output at each place of layer4, (batch, classes, h, w)."""
    return F.conv2d(output.maps["layer4"], head.weight[:, :, None, None], head.bias)


def _bands(picture: Tensor) -> Tensor:
    """Return the loudest value near each column of layer4: (batch, mels, w)."""
    span = (1, LAYER4_STEP)
    pooled = F.max_pool2d(picture, span, padding=(0, LAYER4_STEP // 2))[:, 0]
    return pooled[..., : -(-picture.shape[-1] // LAYER4_STEP)]


def _mean_of_channels(values: Tensor) -> Tensor:
    """Return the mean over the channels, (batch, H, W), of a map, (batch, channels, H, W).

    As a product, which on the CPU takes half the time of a mean.
    """
    channels = values.shape[1]
    weights = torch.full((channels,), 1 / channels, device=values.device)
    return values.permute(0, 2, 3, 1).float() @ weights


def _array(values: Tensor) -> Array:
    return values.float().cpu().numpy()
