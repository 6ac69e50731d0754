"""Stands in for the `modal` package in a worker: as much of it as `tasks/remote.py` uses.

A test copies it as `modal.py` to the front of the path. The call is answered by
`tests.modal_elsewhere` in a process of its own, and only plain values may come and go.
"""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

# While this file is there, nobody answers.
AWAY = Path(os.environ["MODAL_STAND_IN_AWAY"])
PLAIN = {str, bytes, int, float, bool, type(None)}


class Error(Exception):
    pass


class Cls:
    @classmethod
    def from_name(cls, app_name: str, name: str) -> "Cls":
        assert (app_name, name) == ("sonoscope-inference", "InferenceService")
        return cls()

    def hydrate(self) -> "Cls":
        return self

    def __call__(self) -> "Cls":
        return self

    @property
    def predict(self) -> "Method":
        return Method()


class Method:
    elsewhere: "subprocess.Popen[bytes] | None" = None

    def remote(self, *arguments: Any) -> Any:
        if AWAY.exists():
            raise Error("Modal is away")
        expect_plain(arguments)
        if Method.elsewhere is None:
            Method.elsewhere = subprocess.Popen(
                [sys.executable, "-m", "tests.modal_elsewhere"],
                env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        there = Method.elsewhere
        assert there.stdin is not None and there.stdout is not None
        pickle.dump(arguments, there.stdin)
        there.stdin.flush()
        payload, answer = pickle.load(there.stdout)
        if payload == "failed":
            raise ValueError(answer)
        expect_plain(answer)
        return answer


def expect_plain(value: Any) -> None:
    """Raises TypeError for anything that needs a class of somebody's on the other side."""
    if type(value) in (list, tuple):
        for one in value:
            expect_plain(one)
    elif type(value) is dict:
        for name, one in value.items():
            expect_plain(name)
            expect_plain(one)
    elif type(value) not in PLAIN:
        raise TypeError(f"{type(value)} is not plain")
