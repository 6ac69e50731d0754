"""The graph of an ONNX file as a PyTorch module."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.config import SettingError
from training.distil.onnx_file import Graph, Node

# Tensors, and lists of whole numbers for shapes and axes: those stay in Python, so that the
# graphics card never waits for them.
Value = Any


def _conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    of = node.attributes.get
    if of("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise SettingError(
            f"The teacher pads a convolution with auto_pad={of('auto_pad')}, which is not "
            "supported."
        )
    axes = weight.ndim - 2
    pads = of("pads", [0] * 2 * axes)
    if pads[:axes] != pads[axes:]:
        raise SettingError("The teacher pads a convolution unevenly, which is not supported.")
    stride, dilation = of("strides", [1] * axes), of("dilations", [1] * axes)
    convolve = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    return convolve(x, weight, bias, stride, pads[:axes], dilation, of("group", 1))


def _gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    of = node.attributes.get
    a = a.mT if of("transA", 0) else a
    b = b.mT if of("transB", 0) else b
    product = of("alpha", 1.0) * (a @ b)
    return product if c is None else product + of("beta", 1.0) * c


def _reduce(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduced(node: Node, x: Tensor, axes: list[int] | None = None) -> Tensor:
        where = axes or node.attributes.get("axes") or list(range(x.ndim))
        return reduce(x, where, keepdim=bool(node.attributes.get("keepdims", 1)))

    return reduced


def _squeeze(node: Node, x: Tensor, axes: list[int] | None = None) -> Tensor:
    axes = axes or node.attributes.get("axes")  # an attribute before version 13 of the operators
    return x.squeeze() if axes is None else x.squeeze(axes)


def _unsqueeze(node: Node, x: Tensor, axes: list[int]) -> Tensor:
    for axis in sorted(axe % (x.ndim + len(axes)) for axe in axes):
        x = x.unsqueeze(axis)
    return x


def _shape(node: Node, x: Tensor) -> list[int]:
    return list(x.shape)[node.attributes.get("start", 0) : node.attributes.get("end")]


def _concat(node: Node, *parts: Value) -> Value:
    if isinstance(parts[0], list):
        return [number for part in parts for number in part]
    return torch.cat(parts, node.attributes["axis"])


def _reshape(node: Node, x: Tensor, shape: list[int]) -> Tensor:
    kept = [x.shape[at] if size == 0 else size for at, size in enumerate(shape)]
    return x.reshape(shape if node.attributes.get("allowzero") else kept)


def _flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.attributes.get("axis", 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    return (alpha * x + beta).clamp(0, 1)


OPERATORS: dict[str, Callable[..., Value]] = {
    "Add": lambda node, a, b: a + b,
    "Concat": _concat,
    "Conv": _conv,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda node, x: F.hardswish(x),
    "Mul": lambda node, a, b: a * b,
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "Relu": lambda node, x: F.relu(x),
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": lambda node, x: torch.sigmoid(x),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
}


class GraphNetwork(nn.Module):
    """Compute a graph with one input. Its float constants are the parameters.

    Raises
    ------
    SettingError
        The graph does not have one input and the outputs `outputs`, or has an unknown operator.
    """

    def __init__(self, graph: Graph, outputs: tuple[str, ...]) -> None:
        super().__init__()
        unknown = {node.operator for node in graph.nodes} - OPERATORS.keys()
        if unknown:
            raise SettingError(f"The teacher uses unknown operators: {', '.join(sorted(unknown))}.")
        if len(graph.inputs) != 1 or not set(outputs) <= set(graph.outputs):
            raise SettingError(
                f"The teacher must have one input and the outputs {' and '.join(outputs)}; it has "
                f"{', '.join(graph.inputs)} and {', '.join(graph.outputs)}."
            )
        self.graph, self.outputs = graph, outputs
        self.lists = {
            name: value.flatten().tolist()
            for name, value in graph.constants.items()
            if not value.is_floating_point()
        }
        weights = {name: value for name, value in graph.constants.items() if name not in self.lists}
        self.names = list(weights)
        self.weights = nn.ParameterList(nn.Parameter(value) for value in weights.values())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs, in the order of `outputs`."""
        values: dict[str, Value] = dict(zip(self.names, self.weights, strict=True)) | self.lists
        values[self.graph.inputs[0]] = x
        for node in self.graph.nodes:
            inputs = [values[name] if name else None for name in node.inputs]
            values[node.outputs[0]] = OPERATORS[node.operator](node, *inputs)
        return tuple(values[name] for name in self.outputs)
