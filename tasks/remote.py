"""Classify on Modal; decoding, resampling and drawing stay on this machine."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from pathlib import Path

import numpy as np
import torch

from ml import serialization
from ml.audio.waveform import Waveform
from ml.base_classifier import BaseClassifier
from ml.checkpoint_info import digest, identity, read_info
from ml.events import read_settings
from ml.explain.results import Array
from ml.predictions import Result, window_starts

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

        info = read_info(path)
        settings = read_settings(path, info.classes, digest(path).weights)
        super().__init__(info, identity(path), torch.device("cpu"), settings)
        deployed = modal.Cls.from_name(serialization.APP, serialization.CLASS)
        deployed.hydrate()
        self._predict = deployed().predict

    def classify(self, waveforms: Sequence[Waveform]) -> list[Result]:
        """Classify clips, in calls of limited size.

        Parameters
        ----------
        waveforms : (samples,) float32 each, at the checkpoint's sample rate

        Raises
        ------
        RemoteError
            Modal did not respond in time, or the call failed.
        """
        results: list[Result] = []
        for part in parts(waveforms):
            if len(part) == 1 and len(part[0]) > CALL_SAMPLES:
                results.append(self._classify_long(part[0]))
            else:
                results += self._ask([waveform[:] for waveform in part])
        return results

    def _classify_long(self, waveform: Waveform) -> Result:
        """Classify a recording that is too long for one call, in runs of windows.

        The window to show is known only after the last run, so it is sent again for its maps.
        """
        features = self.info.features
        length, rate = features.window_samples, features.sample_rate
        starts = window_starts(len(waveform), length, features.hop_samples)
        in_run = max(1, CALL_SAMPLES // (length // 2) - 1)
        runs: list[Result] = []
        for first in range(0, len(starts), in_run):
            run = starts[first : first + in_run]
            # From its first window to its last: it is divided into the same windows there.
            runs += self._ask([waveform[run[0] : run[-1] + length]])
        probabilities = np.concatenate([run.window_probabilities for run in runs])
        mean = probabilities.mean(axis=0)
        shown = int(probabilities[:, mean.argmax()].argmax())
        (of_shown,) = self._ask([waveform[starts[shown] : starts[shown] + length]])
        return Result(
            probabilities=mean,
            window_probabilities=probabilities,
            window_embeddings=np.concatenate([run.window_embeddings for run in runs]),
            window_columns=np.concatenate([run.window_columns for run in runs]),
            window_levels_db=np.concatenate([run.window_levels_db for run in runs]),
            window_ranges_hz=np.concatenate([run.window_ranges_hz for run in runs]),
            window_starts_s=tuple(start / rate for start in starts),
            shown_window=shown,
            activations=of_shown.activations,
        )

    def _ask(self, waveforms: list[Array]) -> list[Result]:
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
            return [serialization.result_from_plain(plain) for plain in call.result()]
        except Exception as error:
            raise RemoteError(f"Modal: {type(error).__name__}: {error}") from error


def parts(waveforms: Sequence[Waveform]) -> Iterator[list[Waveform]]:
    """Yield the waveforms, in order, in parts of at most `CALL_SAMPLES` samples.

    A clip that is longer is a part of its own.
    """
    part: list[Waveform] = []
    for waveform in waveforms:
        if part and sum(map(len, part)) + len(waveform) > CALL_SAMPLES:
            yield part
            part = []
        part.append(waveform)
    if part:
        yield part
