"""Another process, for tests: Modal's side of a call, `InferenceService` as it would be deployed.

`python -m tests.modal_elsewhere` reads pickled arguments and writes pickled answers.
"""

import pickle
import sys
import warnings
from typing import Any

from tasks.modal_app import InferenceService


def main() -> None:
    warnings.simplefilter("ignore")
    ears = InferenceService()
    while True:
        try:
            arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: tuple[str, Any]
        try:
            answer = "done", ears.predict.local(*arguments)
        except Exception as error:  # noqa: BLE001 – it crosses, whatever it is
            answer = "failed", f"{error}"
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
