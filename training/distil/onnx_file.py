"""Read the graph of an ONNX file: as much of its format as a teacher uses.

The format is protobuf: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3 has the numbers of
the fields, https://protobuf.dev/programming-guides/encoding/ the encoding.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.config import SettingError

# Wire types of the encoding, and its name for each type of tensor that we read.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
TENSOR_TYPES: dict[int, Any] = {1: np.dtype("<f4"), 7: np.dtype("<i8")}
Fields = dict[int, list[int | bytes]]


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: the names of its inputs and outputs, and its attributes."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]  # int, float, str or list of int


@dataclass(frozen=True, slots=True)
class Graph:
    """A network: its operations in the order of the data flow, and its constants by name.

    Attributes
    ----------
    inputs, outputs : names; the constants are not among the inputs
    """

    nodes: tuple[Node, ...]
    constants: dict[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_graph(path: Path) -> Graph:
    """Read the graph of an ONNX file whose weights are inside the file.

    Raises
    ------
    SettingError
        There is no such file, or it is not such an ONNX file.
    """
    if not path.is_file():
        raise SettingError(f"There is no teacher at {path}.")
    try:
        graph = _fields(_one(_fields(path.read_bytes()), 7))
        constants = dict(map(_tensor, _messages(graph, 5)))
        names = [_name(value, 1) for value in _messages(graph, 11)]
        return Graph(
            nodes=tuple(map(_node, _messages(graph, 1))),
            constants=constants,
            inputs=tuple(name for name in names if name not in constants),
            outputs=tuple(_name(value, 1) for value in _messages(graph, 12)),
        )
    except (LookupError, ValueError, TypeError, AttributeError, struct.error) as error:
        raise SettingError(
            f"{path.name} is not an ONNX file with its weights inside: {error}"
        ) from error


def _fields(message: bytes) -> Fields:
    """Return the values of each field of a message, in their order, by the field's number."""
    values: Fields = {}
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        if key & 7 == VARINT:
            value, place = _varint(message, place)
            values.setdefault(key >> 3, []).append(value)
            continue
        if key & 7 == BYTES:
            length, place = _varint(message, place)
        elif key & 7 in (FIXED32, FIXED64):
            length = 4 if key & 7 == FIXED32 else 8
        else:
            raise ValueError(f"unknown wire type {key & 7}")
        if place + length > len(message):
            raise ValueError("it is truncated")
        values.setdefault(key >> 3, []).append(message[place : place + length])
        place += length
    return values


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return the variable-length integer at `place`, and the place after it."""
    number = shift = 0
    while True:
        byte = message[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place


def _messages(fields: Fields, number: int) -> Iterator[Fields]:
    for value in fields.get(number, []):
        yield _fields(_as_bytes(value))


def _as_bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("a number where text or a message was expected")
    return value


def _one(fields: Fields, number: int) -> bytes:
    return _as_bytes(fields[number][-1])


def _name(fields: Fields, number: int) -> str:
    return _one(fields, number).decode() if number in fields else ""


def _integers(fields: Fields, number: int) -> list[int]:
    """Return repeated int64 values, which may be packed into one run of bytes."""
    found: list[int] = []
    for value in fields.get(number, []):
        if isinstance(value, int):
            found.append(value)
            continue
        place = 0
        while place < len(value):
            one, place = _varint(value, place)
            found.append(one)
    # Negative numbers are stored as their two's complement.
    return [value - 2**64 if value >= 2**63 else value for value in found]


def _tensor(fields: Fields) -> tuple[str, Tensor]:
    """Return the name and values of a tensor message."""
    name, shape = _name(fields, 8), _integers(fields, 1)
    kind = _integers(fields, 2)[-1]
    if kind not in TENSOR_TYPES:
        raise ValueError(f"{name} is neither float32 nor int64")
    if 9 in fields:
        data = np.frombuffer(_one(fields, 9), TENSOR_TYPES[kind])
    elif kind == 7:
        data = np.array(_integers(fields, 7), np.int64)
    else:
        data = np.frombuffer(b"".join(map(_as_bytes, fields.get(4, []))), TENSOR_TYPES[1])
    return name, torch.from_numpy(data.reshape(shape).copy())


def _node(fields: Fields) -> Node:
    return Node(
        operator=_name(fields, 4),
        inputs=tuple(_as_bytes(value).decode() for value in fields.get(1, [])),
        outputs=tuple(_as_bytes(value).decode() for value in fields.get(2, [])),
        attributes={
            _name(one, 1): value
            for one in _messages(fields, 5)
            if (value := _attribute(one)) is not None
        },
    )


def _attribute(fields: Fields) -> int | float | str | list[int] | None:
    """Return the value of an attribute message, or None if it is of another type."""
    kind = _integers(fields, 20)[-1]
    if kind == 1:
        return float(struct.unpack("<f", _one(fields, 2))[0])
    if kind == 2:
        return (_integers(fields, 3) or [0])[-1]
    if kind == 3:
        return _name(fields, 4)
    return _integers(fields, 8) if kind == 7 else None
