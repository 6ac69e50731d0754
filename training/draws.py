"""Random numbers for the augmentations.

All come from one generator on the CPU, so that a run can be repeated and resumed on any device.
Only the drawn values are copied to the device of the sounds.
"""

import torch
from torch import Tensor


def copied(values: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor from the CPU to a device; a GPU's queue of work goes on meanwhile."""
    if device.type == "cpu":
        return values
    return values.pin_memory().to(device, non_blocking=True)


def uniform(low: float, high: float, count: int, generator: torch.Generator) -> Tensor:
    """Return (count,) float32 between `low` and `high`, on the CPU."""
    return torch.rand(count, generator=generator) * (high - low) + low
