"""Write a tiny teacher as an ONNX file, byte by byte."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def field(number: int, value: int | bytes | str) -> bytes:
    """Encode one field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value % 2**64)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(number: int) -> bytes:
    encoded = b""
    while number > 0x7F:
        encoded, number = encoded + bytes([number & 0x7F | 0x80]), number >> 7
    return encoded + bytes([number])


def tensor(name: str, array: NDArray[np.generic]) -> bytes:
    kind = 1 if array.dtype == np.float32 else 7
    shape = b"".join(field(1, size) for size in array.shape)
    return shape + field(2, kind) + field(8, name) + field(9, array.tobytes())


def attribute(name: str, value: int | float | str | list[int]) -> bytes:
    if isinstance(value, str):
        return field(1, name) + field(4, value) + field(20, 3)
    if isinstance(value, float):
        return field(1, name) + varint(2 << 3 | 5) + struct.pack("<f", value) + field(20, 1)
    if isinstance(value, int):
        return field(1, name) + field(3, value) + field(20, 2)
    return field(1, name) + b"".join(field(8, one) for one in value) + field(20, 7)


def node(
    operator: str, inputs: str, outputs: str, **attributes: int | float | str | list[int]
) -> bytes:
    """Encode an operation; names are separated by spaces."""
    encoded = b"".join(field(1, name) for name in inputs.split())
    encoded += b"".join(field(2, name) for name in outputs.split()) + field(4, operator)
    return encoded + b"".join(field(5, attribute(*one)) for one in attributes.items())


def model(
    nodes: list[bytes], constants: dict[str, NDArray[np.generic]], inputs: str, outputs: str
) -> bytes:
    graph = b"".join(field(1, one) for one in nodes)
    graph += b"".join(field(5, tensor(*one)) for one in constants.items())
    graph += b"".join(field(11, field(1, name)) for name in inputs.split())
    graph += b"".join(field(12, field(1, name)) for name in outputs.split())
    return field(1, 10) + field(7, graph)


def tiny_teacher(path: Path) -> Path:
    """Write a teacher with 6 features and 4 logits, and return its path.

    It has every operator of mn04_as: a convolution, a squeeze-and-excitation of its channels by
    the loudest time, and a classifier.
    """
    random = np.random.default_rng(1)

    def weights(*shape: int) -> NDArray[np.float32]:
        return (random.standard_normal(shape) * 0.5).astype(np.float32)

    constants: dict[str, NDArray[np.generic]] = {
        "kernel": weights(6, 1, 16, 5), "bias": weights(6),
        "in": weights(3, 6), "in_bias": weights(3), "out": weights(6, 3), "out_bias": weights(6),
        "classes": weights(4, 6), "classes_bias": weights(4),
        "time": np.array([3]), "both": np.array([2, 3]), "last": np.array([-1]),
    }  # fmt: skip
    linear = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
    nodes = [
        node("Shape", "spec", "batch", start=0, end=1),
        node("Concat", "batch last", "rows", axis=0),
        node("Conv", "spec kernel bias", "conv", strides=[16, 5], pads=[0, 2, 0, 2], group=1),
        node("HardSwish", "conv", "swish"),
        node("ReduceMax", "swish both", "loudest", keepdims=1),
        node("Squeeze", "loudest both", "squeezed"),
        node("Gemm", "squeezed in in_bias", "hidden", **linear),
        node("Relu", "hidden", "relu"),
        node("Gemm", "relu out out_bias", "gate", **linear),
        node("Sigmoid", "gate", "sigmoid"),
        node("Unsqueeze", "sigmoid both", "gates"),
        node("Mul", "swish gates", "gated"),
        node("Add", "gated conv", "sum"),
        node("ReduceMean", "sum both", "mean", keepdims=1),
        node("Squeeze", "mean", "flat"),
        node("Reshape", "flat rows", "features", allowzero=1),
        node("Gemm", "features classes classes_bias", "logits", **linear),
    ]
    path.write_bytes(model(nodes, constants, "spec", "logits features"))
    return path
