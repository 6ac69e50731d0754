"""A process that runs `InferenceService` as a container on Modal would.

`python -m tests.fake_modal_container` reads pickled arguments and writes pickled results.
"""

import pickle
import sys
import warnings
from typing import Any

from tasks.modal_app import InferenceService


def main() -> None:
    warnings.simplefilter("ignore")
    service = InferenceService()
    while True:
        try:
            arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: tuple[str, Any]
        try:
            answer = "done", service.predict.local(*arguments)
        except Exception as error:  # noqa: BLE001 – every error is sent to the caller
            answer = "failed", f"{error}"
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
