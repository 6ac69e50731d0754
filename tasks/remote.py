"""A checkpoint that listens at Modal; decoding, resampling and drawing stay here."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import torch

from ml import serialization
from ml.checkpoint_info import identity, read_info
from ml.explain.results import Array
from ml.inference import BaseClassifier, Result

# Samples in one call: 16 clips of five seconds at 32 kHz, 10 MB.
CALL_SAMPLES = 16 * 5 * 32_000
# A call may have to wait for a GPU, and for the weights to be loaded there.
CALL_LIMIT_S = 150
# How often a wait is interrupted to say that it goes on; well below any lease.
SIGN_OF_LIFE_S = 2


class RemoteError(Exception):
    """The machine that listens did not answer, or refused. No sound is to blame for it."""


class RemoteClassifier(BaseClassifier):
    """Knows the header of the same checkpoint as the one deployed, and never loads its weights."""

    def __init__(self, path: Path) -> None:
        """Raises CheckpointError, and modal.Error when there is no deployment to ask."""
        # Only here: it takes half a second, and workers that listen themselves go without.
        import modal

        super().__init__(read_info(path), identity(path), torch.device("cpu"))
        deployed = modal.Cls.from_name(serialization.APP, serialization.CLASS)
        deployed.hydrate()
        self._predict = deployed().predict

    def classify(
        self, waveforms: Sequence[Array], on_chunk: Callable[[], None] = lambda: None
    ) -> list[Result]:
        """As everywhere. Raises RemoteError."""
        results = []
        for part in parts(waveforms):
            answered = self._ask([serialization.samples_to_bytes(one) for one in part], on_chunk)
            results += [serialization.result_from_plain(one) for one in answered]
        return results

    def _ask(
        self, waveforms: list[bytes], on_chunk: Callable[[], None]
    ) -> list[serialization.Plain]:
        call = in_background(lambda: self._predict.remote(self.identity, waveforms))
        ends = time.monotonic() + CALL_LIMIT_S
        while not call.done():
            if time.monotonic() > ends:
                raise RemoteError(f"Modal gave no answer within {CALL_LIMIT_S} s.")
            wait([call], SIGN_OF_LIFE_S)
            on_chunk()
        try:
            answered: list[serialization.Plain] = call.result()
        except Exception as error:
            raise RemoteError(f"Modal: {type(error).__name__}: {error}") from error
        return answered


def parts(waveforms: Sequence[Array]) -> Iterator[list[Array]]:
    """In order, each of at most `CALL_SAMPLES` unless a single clip is longer."""
    part: list[Array] = []
    for waveform in waveforms:
        if part and sum(map(len, part)) + len(waveform) > CALL_SAMPLES:
            yield part
            part = []
        part.append(waveform)
    if part:
        yield part


def in_background(work: Callable[[], Any]) -> Future[Any]:
    """Unlike a pool's, a thread that hangs in `work` keeps no process from ending."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 – told to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
