"""CUDA graphs of training steps: a GPU repeats recorded work without waiting for Python."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

# PyTorch asks for a few runs before a capture, in which cuDNN chooses its algorithms.
WARM_UP_RUNS = 3


@dataclass(frozen=True, slots=True)
class _Captured:
    """A graph, the tensors that it reads and the tensor that it writes."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    output: Tensor


class StepGraphs:
    """The captured graphs of a run, one for each shape of the inputs.

    They share their memory, because only one of them is replayed at a time.
    """

    def __init__(self) -> None:
        self._captured: dict[Hashable, _Captured] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def run(
        self,
        work: Callable[..., Tensor],
        inputs: tuple[Tensor, ...],
        variant: Hashable,
        changed: list[Tensor],
    ) -> Tensor:
        """Return `work(*inputs)`, from a graph that is captured at the first call.

        Parameters
        ----------
        work : must not wait for the GPU, and must leave its results at the same addresses
        variant : whatever else `work` depends on, such as the precision
        changed : tensors that `work` changes, which the warm-up must leave as they are

        Returns
        -------
        A copy of the result, which the next call does not overwrite.
        """
        key = (variant, *(tuple(value.shape) for value in inputs))
        if key not in self._captured:
            self._captured[key] = self._capture(work, inputs, changed)
        captured = self._captured[key]
        for place, value in zip(captured.inputs, inputs, strict=True):
            place.copy_(value)
        captured.graph.replay()
        return captured.output.clone()

    def _capture(
        self, work: Callable[..., Tensor], inputs: tuple[Tensor, ...], changed: list[Tensor]
    ) -> _Captured:
        places = tuple(value.clone() for value in inputs)
        before = [value.clone() for value in changed]
        device = inputs[0].device
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.random.fork_rng([device]), torch.cuda.stream(side):
            for _ in range(WARM_UP_RUNS):
                work(*places)
        torch.cuda.current_stream(device).wait_stream(side)
        torch._foreach_copy_(changed, before)
        graph = torch.cuda.CUDAGraph()
        # Another thread may copy the next batch meanwhile, hence not "global".
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            output = work(*places)
        return _Captured(graph, places, output)
