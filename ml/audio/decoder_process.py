"""The decoder process that `ml.audio.decoder` starts. It decodes files in a sandbox.

Standard input is a Unix socket. A request is a line of JSON sent together with an open file. The
response comes through a pipe, block by block: the length of a JSON text (four bytes), the text, and
the block's float32 samples. A text without samples ends it, or one with an error. The process ends
when the socket is closed. It imports only what decoding needs.
"""

import json
import os
import pkgutil
import socket
import sys
import traceback
from importlib import import_module
from typing import IO, Any

from ml.audio import sandbox
from ml.errors import AudioError, Problem

LENGTH_BYTES = 4
MAX_REQUEST_BYTES = 4096

OUT_OF_MEMORY = Problem(
    "decoder_out_of_memory",
    "Decoding this file takes too much memory.",
    "Export it again as WAV or FLAC.",
)
CRASHED = Problem(
    "decoder_crashed",
    "The decoder crashed on this file.",
    "It is probably damaged. Copy it again from its source, or export it again as WAV or FLAC.",
)


def main(parent_pid: int, pipe: int) -> None:
    requests = socket.socket(fileno=sys.stdin.fileno())
    answers = os.fdopen(pipe, "wb")
    try:
        restrictions = ["no network"] if sandbox.leave_network() else []
        # Only after leaving the network, because some of the libraries start threads.
        _import_all()
        restrictions += sandbox.confine(parent_pid)
    except Exception:
        _send(answers, {"trace": traceback.format_exc()})
        answers.flush()
        raise
    _send(answers, {"restrictions": restrictions})
    while True:
        # Flush only here, so that the texts and the samples are sent together.
        answers.flush()
        line, (*files,), _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 1)
        if not files:
            return
        _answer(answers, json.loads(line), files[0])


def _import_all() -> None:
    """Import what decoding needs, and what PyAV would import later, for example for subtitles."""
    import_module("ml.audio.decode")
    for module in pkgutil.walk_packages(import_module("av").__path__, "av."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


def _answer(answers: IO[bytes], request: dict[str, Any], file: int) -> None:
    from ml.audio.decode import Limits, read_blocks

    sandbox.set_limits(request["memory_bytes"], request["cpu_s"])
    limits = Limits(request["duration_s"], request["size_bytes"])
    try:
        for block in read_blocks(file, request["sample_rate"], limits):
            place = {"first_sample": block.first_sample, "samples": len(block.waveform)}
            _send(answers, block.source | place | {"playable": block.playable})
            answers.write(block.waveform.data.cast("B"))
    except AudioError as error:
        _refuse(answers, error.problem)
    except MemoryError:
        _refuse(answers, OUT_OF_MEMORY)
    except Exception:  # noqa: BLE001
        # An unexpected error of a decoder library.
        _refuse(answers, CRASHED, traceback.format_exc())
    else:
        _send(answers, {"samples": 0})


def _refuse(answers: IO[bytes], problem: Problem, trace: str = "") -> None:
    _send(answers, {"error": problem.as_dict(), "trace": trace})


def _send(answers: IO[bytes], values: dict[str, Any]) -> None:
    text = json.dumps(values).encode()
    answers.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
