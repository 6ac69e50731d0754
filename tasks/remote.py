"""Classify on Modal; decoding, resampling and drawing stay on this machine."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from pathlib import Path

import torch

from ml import serialization
from ml.base_classifier import BaseClassifier
from ml.checkpoint_info import identity, read_info
from ml.explain.results import Array
from ml.predictions import Result

# Samples in one call: 16 clips of five seconds at 32 kHz, 10 MB.
CALL_SAMPLES = 16 * 5 * 32_000
# A call may have to wait for a GPU, and for the weights to be loaded there.
CALL_LIMIT_S = 150


class RemoteError(Exception):
    """Modal did not respond in time, or the call failed. The sound is not the cause."""


class RemoteClassifier(BaseClassifier):
    """A classifier whose weights run on Modal.

    It reads the header of the checkpoint, which must be the deployed one, and never its weights.
    """

    def __init__(self, path: Path) -> None:
        """Connect to the deployment.

        Raises
        ------
        CheckpointError
            The checkpoint at `path` cannot be read.
        modal.Error
            There is no deployment.
        """
        # Imported here, because it takes half a second and local workers do not need it.
        import modal

        super().__init__(read_info(path), identity(path), torch.device("cpu"))
        deployed = modal.Cls.from_name(serialization.APP, serialization.CLASS)
        deployed.hydrate()
        self._predict = deployed().predict

    def classify(self, waveforms: Sequence[Array]) -> list[Result]:
        """Classify clips, in calls of limited size.

        Parameters
        ----------
        waveforms : (samples,) float32 each, at the checkpoint's sample rate

        Raises
        ------
        RemoteError
            Modal did not respond in time, or the call failed.
        """
        answered = [plain for part in parts(waveforms) for plain in self._ask(part)]
        return [serialization.result_from_plain(plain) for plain in answered]

    def _ask(self, waveforms: list[Array]) -> list[serialization.Plain]:
        sounds = [serialization.samples_to_bytes(one) for one in waveforms]
        call: Future[list[serialization.Plain]] = Future()

        def ask() -> None:
            try:
                call.set_result(self._predict.remote(self.identity, sounds))
            except BaseException as error:  # noqa: BLE001 - raised again by `result`
                call.set_exception(error)

        # Unlike a pool's thread, a daemon thread that hangs does not keep the process from exiting.
        threading.Thread(target=ask, daemon=True).start()
        if not wait([call], CALL_LIMIT_S).done:
            raise RemoteError(f"Modal did not respond within {CALL_LIMIT_S} s.")
        try:
            return call.result()
        except Exception as error:
            raise RemoteError(f"Modal: {type(error).__name__}: {error}") from error


def parts(waveforms: Sequence[Array]) -> Iterator[list[Array]]:
    """Yield the waveforms, in order, in parts of at most `CALL_SAMPLES` samples.

    A clip that is longer is a part of its own.
    """
    part: list[Array] = []
    for waveform in waveforms:
        if part and sum(map(len, part)) + len(waveform) > CALL_SAMPLES:
            yield part
            part = []
        part.append(waveform)
    if part:
        yield part
