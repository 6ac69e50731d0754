"""The classifier of a checkpoint on this machine: waveforms in, predictions and activations out."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ml.audio.waveform import Waveform
from ml.base_classifier import BaseClassifier
from ml.checkpoint import load_model
from ml.checkpoint_info import CheckpointError, CheckpointInfo, digest, identity, read_info
from ml.events import EventSettings, read_settings
from ml.explain.activations import channels_of, explain, explain_refined
from ml.explain.decoder_file import load_beside
from ml.explain.mask_decoder import MaskDecoder
from ml.explain.results import Activations, Array, Channels, Explanation, all_finite
from ml.forward import Outputs, ParallelPasses, folded, forward
from ml.model import AudioCNN
from ml.places import LAYER4_STEP, LEVEL_FRAMES, Places, band_edges_hz
from ml.predictions import BestWindows, ClipPrediction, Result, Windows, window_starts
from ml.rejection import EMBEDDING

logger = logging.getLogger(__name__)

Found = TypeVar("Found", Explanation, Channels)

# Windows in one forward pass. The CPU gains nothing from more; see tools/bench/README.md.
CHUNK_WINDOWS = {"cpu": 16, "cuda": 64, "mps": 16}
# How far a probability may lie from its fp32 value before the reduced precision is not used.
# Measured on the shipped network: 0.008 in the self-test, 0.010 on the worst of 1,600 real clips.
SELF_TEST_TOLERANCE = 0.05
SELF_TEST_WINDOWS = 4

# The frequency range of a class is found in the windows in which it is at least so probable.
RANGE_PROBABILITY = 0.05
DEFAULT_EVENTS = EventSettings()


class NonFiniteError(ArithmeticError):
    """The network gives NaN or infinity even in fp32: its weights or its input are broken."""


def pick_device() -> torch.device:
    """Return the GPU if there is one (CUDA, else MPS), otherwise the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_precision(device: torch.device) -> torch.dtype:
    """Return the fastest type that the device computes in natively."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False):
        return torch.bfloat16
    return torch.float32


class Classifier(BaseClassifier):
    """A checkpoint with its weights, loaded on a device."""

    def __init__(
        self,
        model: AudioCNN,
        info: CheckpointInfo,
        identity: str,
        device: torch.device | None = None,
        precision: torch.dtype | None = None,
        on_recomputed: Callable[[int], object] = lambda windows: None,
        decoder: MaskDecoder | CheckpointError | None = None,
        event_settings: EventSettings = DEFAULT_EVENTS,
    ) -> None:
        """Move the model to the device and test the reduced precision, if one is used.

        Parameters
        ----------
        device, precision
            Chosen by `pick_device` and `pick_precision` if None.
        on_recomputed : callable
            Called with the number of windows that were computed again in fp32 because their first
            pass gave NaN or infinity.
        decoder : MaskDecoder or CheckpointError, optional
            Draws the masks of explanations. Without one, gradients explain. An error is raised by
            `explain` and `refine`: predictions do not need the decoder.

        Raises
        ------
        NonFiniteError
            If the self-test fails even in fp32.
        """
        super().__init__(info, identity, device or pick_device(), event_settings)
        self.precision = precision or pick_precision(self.device)
        self.model = model.to(self.device).to(memory_format=torch.channels_last).eval()
        self._fast = folded(self.model, self.precision)
        self._parallel = ParallelPasses() if self.device.type == "cpu" else None
        features = info.features
        centres_hz = self.log_mel.band_centres_hz()
        self._edges_hz = band_edges_hz(centres_hz, features.f_min_hz, features.f_max_hz)
        self._decoder = decoder.to(self.device) if isinstance(decoder, MaskDecoder) else decoder
        self.chunk_windows = CHUNK_WINDOWS[self.device.type]
        self.on_recomputed = on_recomputed
        self.recomputed_windows = 0
        if self.precision != torch.float32:
            self._self_test()

    @classmethod
    def load(
        cls,
        path: Path,
        device: torch.device | None = None,
        precision: torch.dtype | None = None,
        on_recomputed: Callable[[int], object] = lambda windows: None,
    ) -> "Classifier":
        """Load a checkpoint and the mask decoder beside it, if there is one.

        The other parameters are those of `Classifier`.

        Raises
        ------
        ml.checkpoint_info.CheckpointError
            If the file is not a usable checkpoint, or the settings of events beside it are damaged.
        NonFiniteError
            If the self-test fails even in fp32.
        """
        info = read_info(path)
        model, name = load_model(path, info), identity(path)
        decoder: MaskDecoder | CheckpointError | None
        try:
            decoder = load_beside(path)
        except CheckpointError as error:
            logger.error("%s cannot be explained: %s", path.name, error)
            decoder = error
        settings = read_settings(path, info.classes, digest(path).weights)
        return cls(model, info, name, device, precision, on_recomputed, decoder, settings)

    @property
    def decoder(self) -> MaskDecoder | None:
        """The mask decoder, None if the checkpoint has none.

        Raises
        ------
        CheckpointError
            If the file beside the checkpoint cannot be used.
        """
        if isinstance(self._decoder, CheckpointError):
            raise self._decoder
        return self._decoder

    def classify(self, waveforms: Sequence[Waveform]) -> list[Result]:
        return list(self._results(waveforms, maps=True))

    def predict(self, waveforms: Sequence[Waveform]) -> list[ClipPrediction]:
        """Classify clips without the feature maps, which takes less time.

        Parameters
        ----------
        waveforms : sequence of (samples,) float32 in [-1, 1] at info.features.sample_rate Hz
            Lengths may differ.

        Returns
        -------
        list of ClipPrediction
            One per waveform, in their order.

        Raises
        ------
        NonFiniteError
            If a window's outputs are not finite in fp32.
        """
        return list(self._results(waveforms, maps=False))

    def explain(self, window: Array, asked: int) -> Explanation:
        """Explain the logit of a class in one window.

        The mask decoder explains it; the gradients, if the checkpoint has none.

        Parameters
        ----------
        window : (samples,) float32
            At most a window long.
        asked : int
            The class.

        Raises
        ------
        CheckpointError
            If the file of the mask decoder cannot be used.
        NonFiniteError
            If the explanation is not finite in fp32.
        """
        silence = self.info.features.silence
        return self._explained(
            window,
            lambda picture, model: explain(model, picture, silence, asked, self.decoder),
        )

    def refine(self, window: Array, asked: int) -> Explanation:
        """Explain the logit of a class by a mask that is optimised for this window.

        This takes some dozens of passes of the network.

        Parameters
        ----------
        window : (samples,) float32
            At most a window long.
        asked : int
            The class.

        Raises
        ------
        CheckpointError
            If the file of the mask decoder cannot be used.
        NonFiniteError
            If the explanation is not finite in fp32.
        """
        waveform = torch.zeros(self.info.features.window_samples, device=self.device)
        waveform[: len(window)] = torch.from_numpy(window)
        temperature = self.info.temperature
        return self._explained(
            window,
            lambda picture, model: explain_refined(
                model, self.log_mel, waveform, asked, self.decoder, temperature
            ),
        )

    def channels(self, window: Array, name: str, asked: int) -> Channels:
        """Return all channels of one feature map.

        Parameters
        ----------
        window : (samples,) float32
            At most a window long.
        name : str
            Name of the feature map.
        asked : int
            The class for which the contributions of a stage's channels are computed.

        Raises
        ------
        NonFiniteError
            If the values are not finite in fp32.
        """
        return self._explained(
            window,
            lambda picture, model: channels_of(model, picture, name, asked),
        )

    # --- internals ------------------------------------------------------------------------

    def _results(self, waveforms: Sequence[Waveform], maps: bool) -> Iterator[Result]:
        """Yield the result of each clip, from one forward pass per window."""
        features = self.info.features
        length, hop = features.window_samples, features.hop_samples
        starts = [window_starts(len(waveform), length, hop) for waveform in waveforms]
        outputs = self._activations(Windows(waveforms, starts, length), maps)
        columns = -(-features.frames(length) // LAYER4_STEP)
        for its_starts in starts:
            count, classes = len(its_starts), len(self.info.classes)
            best = BestWindows(classes)
            probabilities = np.empty((count, classes), np.float32)
            embeddings = np.empty((count, EMBEDDING), np.float32)
            of_columns = np.empty((count, columns, classes), np.float16)
            levels_db = np.empty((count, features.frames(length) // LEVEL_FRAMES), np.float16)
            ranges_hz = np.empty((count, classes, 2), np.float32)
            for number, (activations, places) in enumerate(islice(outputs, count)):
                probabilities[number] = self._probabilities(activations.logits)
                embeddings[number] = activations.pooled
                of_columns[number] = places.columns()
                levels_db[number] = places.levels * features.deviation_db + features.mean_db
                ranges_hz[number] = self._ranges_hz(places, probabilities[number])
                best.add(number, probabilities[number], activations)
            mean = probabilities.mean(axis=0)
            shown, activations = best.of(int(mean.argmax()))
            yield Result(
                probabilities=mean,
                window_probabilities=probabilities,
                window_embeddings=embeddings,
                window_columns=of_columns,
                window_levels_db=levels_db,
                window_ranges_hz=ranges_hz,
                window_starts_s=tuple(start / features.sample_rate for start in its_starts),
                shown_window=shown,
                activations=activations,
            )

    def _ranges_hz(self, places: Places, probabilities: Array) -> Array:
        """Return the frequency range of each probable class of a window, (classes, 2)."""
        probable = np.flatnonzero(probabilities >= RANGE_PROBABILITY).tolist()
        return places.ranges_hz(probable, self.info.features.deviation_db, self._edges_hz)

    def _activations(self, windows: Windows, maps: bool) -> Iterator[tuple[Activations, Places]]:
        """Yield what is computed for each window, and halve the chunk if memory runs out.

        Raises
        ------
        NonFiniteError
            If a window's outputs are not finite in fp32.
        """
        done = 0
        while done < len(windows):
            chunk = windows[done : done + self.chunk_windows]
            try:
                outputs = self._finite(chunk, maps)
            except torch.OutOfMemoryError:
                if len(chunk) == 1:
                    raise
                self.chunk_windows = max(1, len(chunk) // 2)
                torch.cuda.empty_cache()
            else:
                yield from outputs.windows()
                done += len(chunk)

    def _finite(self, windows: Sequence[Array], maps: bool) -> Outputs:
        """Return the outputs of one pass. Windows that are not finite are computed in fp32."""

        def fast(part: Sequence[Array]) -> Outputs:
            return forward(self._fast, self._pictures(part), maps)

        outputs = self._parallel.run(fast, windows) if self._parallel else fast(windows)
        broken = np.flatnonzero(~outputs.finite()).tolist()
        if broken and self.precision != torch.float32:
            pictures = self._pictures([windows[number] for number in broken])
            outputs.replace(broken, forward(self.model, pictures, maps))
            self._count_recomputed(len(broken))
        if broken and not outputs.finite().all():
            raise NonFiniteError(f"{self.identity} produces non-finite values in fp32.")
        return outputs

    def _explained(self, window: Array, run: Callable[[Tensor, AudioCNN], Found]) -> Found:
        """Return what `run` finds in a window; in fp32 if it is not finite otherwise."""
        picture = self._pictures([window])
        found = run(picture, self._fast)
        if not all_finite(found) and self.precision != torch.float32:
            found = run(picture, self.model)
            self._count_recomputed(1)
        if not all_finite(found):
            raise NonFiniteError(f"{self.identity} produces non-finite values in fp32.")
        return found

    def _count_recomputed(self, windows: int) -> None:
        if not self.recomputed_windows:
            message = (
                "%s produced non-finite values in %s; the affected windows are recomputed in "
                "fp32. Further occurrences are counted but not logged."
            )
            logger.warning(message, self.identity, self.precision)
        self.recomputed_windows += windows
        self.on_recomputed(windows)

    def _self_test(self) -> None:
        """Compare the reduced precision with fp32 on seeded noise of the real shape.

        Fall back to fp32 if a probability differs by more than SELF_TEST_TOLERANCE.
        """
        generator = torch.Generator().manual_seed(0)
        samples = self.info.features.window_samples
        loudness = torch.logspace(-4, -0.5, SELF_TEST_WINDOWS)[:, None]
        noise = torch.randn(SELF_TEST_WINDOWS, samples, generator=generator) * loudness
        pictures = self._pictures(list(noise.numpy()))
        exact = forward(self.model, pictures, maps=False)
        if not exact.finite().all():
            raise NonFiniteError(f"{self.identity} produces non-finite values in fp32.")
        reduced = forward(self._fast, pictures, maps=False)
        changes = self._probabilities(reduced.logits) - self._probabilities(exact.logits)
        error = np.abs(changes).max()
        # A comparison with NaN is false.
        if not error <= SELF_TEST_TOLERANCE:
            message = "%s: %s differs from fp32 by %.3f in the self-test; fp32 is used instead."
            logger.warning(message, self.identity, self.precision, error)
            self.precision, self._fast = torch.float32, folded(self.model, torch.float32)

    @torch.no_grad()
    def _pictures(self, windows: Sequence[Array]) -> Tensor:
        """Return the spectrograms of windows. Short windows are padded with zeros at the end."""
        samples = self.info.features.window_samples
        stacked = torch.zeros(len(windows), samples, pin_memory=self.device.type == "cuda")
        for row, window in zip(stacked, windows, strict=True):
            row[: len(window)] = torch.from_numpy(window)
        pictures = self.log_mel(stacked.to(self.device, non_blocking=True))
        return pictures.contiguous(memory_format=torch.channels_last)

    def _probabilities(self, logits: Array) -> Array:
        """Return the calibrated probabilities of logits; both (..., classes)."""
        calibrated = torch.from_numpy(logits) / self.info.temperature
        return torch.softmax(calibrated, dim=-1).numpy()
