"""A fake `modal` package for workers, with the parts that `tasks/remote.py` uses.

A test copies it as `modal.py` to the front of the path. `tests.fake_modal_container` computes the
results in a separate process. Only plain values may be sent and returned.
"""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

# While this file exists, every call fails.
DOWN = Path(os.environ["FAKE_MODAL_DOWN_FILE"])
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
    container: "subprocess.Popen[bytes] | None" = None

    def remote(self, *arguments: Any) -> Any:
        if DOWN.exists():
            raise Error("Modal is down")
        expect_plain(arguments)
        if Method.container is None:
            Method.container = subprocess.Popen(
                [sys.executable, "-m", "tests.fake_modal_container"],
                env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        container = Method.container
        assert container.stdin is not None and container.stdout is not None
        pickle.dump(arguments, container.stdin)
        container.stdin.flush()
        status, result = pickle.load(container.stdout)
        if status == "failed":
            raise ValueError(result)
        expect_plain(result)
        return result


def expect_plain(value: Any) -> None:
    """Raise TypeError for a value that the other side could not unpickle without a class."""
    if type(value) in (list, tuple):
        for one in value:
            expect_plain(one)
    elif type(value) is dict:
        for name, one in value.items():
            expect_plain(name)
            expect_plain(one)
    elif type(value) not in PLAIN:
        raise TypeError(f"{type(value)} is not a plain value")
