"""What a good mask does: the terms that training and refinement minimise."""

from torch import Tensor
from torch.nn import functional as F


def log_probabilities(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logarithms, each (batch,), of a class's probability and of one minus it.

    Exact for probabilities near 0 and 1, unlike the logarithm of a softmax.

    Parameters
    ----------
    logits : (batch, classes)
        Divided by the temperature.
    classes : (batch,) int
    """
    mine = logits.gather(1, classes[:, None])[:, 0]
    others = logits.scatter(1, classes[:, None], float("-inf")).logsumexp(1)
    return F.logsigmoid(mine - others), F.logsigmoid(others - mine)


def roughness(masks: Tensor) -> Tensor:
    """Return the mean difference, (batch,), between neighbouring cells of (batch, H, W) masks."""
    in_frequency, in_time = masks.diff(dim=1).abs(), masks.diff(dim=2).abs()
    return in_frequency.mean((1, 2)) + in_time.mean((1, 2))
