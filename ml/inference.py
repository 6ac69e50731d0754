"""Classifiers: waveforms in, predictions and activations out."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ml.checkpoint import load_model
from ml.checkpoint_info import CheckpointError, CheckpointInfo, identity, read_info
from ml.explain.activations import SHOWN_CLASSES, channels_of, explain
from ml.explain.results import Activations, Array, Channels, all_finite
from ml.features import LogMel
from ml.model import AudioCNN
from ml.rejection import EMBEDDING, ClassDistance

logger = logging.getLogger(__name__)

Row = TypeVar("Row", Array, Activations, Channels)
# Takes pictures, (batch, 1, mels, frames), the windows' numbers and the precision; returns rows.
Run = Callable[[Tensor, Sequence[int], torch.dtype], Iterable[Row]]

# Windows in one forward pass. The CPU gains nothing from more; see tools/bench/README.md.
CHUNK_WINDOWS = {"cpu": 16, "cuda": 64, "mps": 16}
# Long clips are turned into a spectrogram in parts of this length, to bound the memory.
SPECTROGRAM_PART_S = 60
# How far a probability may lie from its fp32 value before the reduced precision is not used.
# Measured on the shipped network: 0.008 in the self-test, 0.010 on the worst of 1,600 real clips.
SELF_TEST_TOLERANCE = 0.05
SELF_TEST_WINDOWS = 4


class NonFiniteError(ArithmeticError):
    """The network gives NaN or infinity even in fp32: its weights or its input are broken."""


@dataclass(frozen=True, slots=True)
class ClipPrediction:
    """The prediction for one clip.

    Attributes
    ----------
    probabilities : (classes,)
        The mean over the windows.
    window_probabilities : (windows, classes)
    window_embeddings : (windows, 512)
    window_starts_s : tuple of float
        Where each window begins, in seconds.
    shown_window : int
        The window with the highest probability for the top class.
    """

    probabilities: Array
    window_probabilities: Array
    window_embeddings: Array
    window_starts_s: tuple[float, ...]
    shown_window: int

    @property
    def top_class(self) -> int:
        """The number of the most probable class."""
        return int(self.probabilities.argmax())

    @property
    def top(self) -> list[int]:
        """The classes whose attribution is shown, the most probable first."""
        return np.argsort(-self.probabilities, kind="stable")[:SHOWN_CLASSES].tolist()


@dataclass(frozen=True, slots=True)
class Result(ClipPrediction):
    """A prediction with the activations of its shown window.

    Attributes
    ----------
    activations : Activations
        With the attribution for the classes in `top`.
    """

    activations: Activations


@dataclass(frozen=True, slots=True)
class Prediction:
    label: str
    confidence: float

    def to_json(self) -> dict[str, str | float]:
        """Return the prediction as it appears in JSON responses."""
        return {"class": self.label, "confidence": round(self.confidence, 6)}


def window_starts(samples: int, window: int, hop: int) -> list[int]:
    """Return the first sample of each window of a clip.

    Windows overlap by half. The last one ends with the clip, unless it would add less than one
    spectrogram step: a remainder shorter than `hop` adds no frame, so it gets no window.

    Parameters
    ----------
    samples : int
        Length of the clip.
    window : int
        Length of a window in samples.
    hop : int
        Samples between two frames of the spectrogram.
    """
    starts = list(range(0, max(samples - window, 0) + 1, window // 2))
    if samples - window - starts[-1] >= hop:
        starts.append(samples - window)
    return starts


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


def _class_distance(info: CheckpointInfo) -> ClassDistance | None:
    """Return the statistics of “not sure”, None if the header has none.

    Raises CheckpointError if they are damaged.
    """
    if info.rejection is None:
        return None
    try:
        distance = ClassDistance.from_info(info.rejection.statistics)
        expected = (len(info.classes), EMBEDDING)
        if distance.means.shape != expected:
            raise ValueError(f"the means are {distance.means.shape}, not {expected}")
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"The checkpoint's “not sure” statistics are damaged: {error}."
        ) from error
    return distance


class BaseClassifier(ABC):
    """A checkpoint without its weights. Subclasses hold the weights or call a process that does.

    Not thread-safe. Create one per process.
    """

    def __init__(self, info: CheckpointInfo, identity: str, device: torch.device) -> None:
        """Raises CheckpointError if the header's statistics of “not sure” are damaged."""
        self.info = info
        self.identity = identity
        self.device = device
        self.log_mel = LogMel(info.features).to(device)
        self.distance = _class_distance(info)

    @abstractmethod
    def classify(self, waveforms: Sequence[Array]) -> list[Result]:
        """Classify clips and explain each clip's shown window.

        A clip's result does not depend on the other clips, up to the rounding of the precision in
        use.

        Parameters
        ----------
        waveforms : sequence of (samples,) float32 in [-1, 1] at info.features.sample_rate Hz
            Lengths may differ.

        Returns
        -------
        list of Result
            One per waveform, in their order.
        """

    def predictions(self, probabilities: Array) -> list[Prediction]:
        """Return a prediction for every class, the most probable first.

        Parameters
        ----------
        probabilities : (classes,)
        """
        order = np.argsort(-probabilities, kind="stable")
        return [Prediction(self.info.classes[i], float(probabilities[i])) for i in order]

    def not_sure(self, predicted: ClipPrediction) -> bool:
        """Return whether a clip is probably none of the classes: the mean score of its windows.

        False if the checkpoint's header has no threshold for it.
        """
        rejection = self.info.rejection
        if rejection is None or self.distance is None:
            return False
        score = self.distance.scores(predicted.window_embeddings).mean()
        return bool(score < rejection.threshold)

    def spectrogram(self, waveform: Array) -> Array:
        """Return the log-mel spectrogram of a whole clip in dB.

        Parameters
        ----------
        waveform : (samples,) float32 in [-1, 1] at info.features.sample_rate Hz

        Returns
        -------
        Array
            (mels, frames); row 0 is the lowest frequency.
        """
        features = self.info.features
        hop, pad = features.hop_samples, features.n_fft
        part = SPECTROGRAM_PART_S * features.sample_rate // hop * hop
        columns = []
        with torch.inference_mode():
            for start in range(0, len(waveform), part):
                # Each part includes samples of its neighbours, so that the joins do not show.
                before = min(start, -(-pad // hop) * hop)
                piece = torch.from_numpy(waveform[start - before : start + part + pad])
                short = max(0, pad - len(piece))
                piece = torch.nn.functional.pad(piece, (0, short)).to(self.device)
                decibels = self.log_mel.decibels(piece[None])[0, 0].cpu().numpy()
                last = part // hop if start + part < len(waveform) else None
                columns.append(decibels[:, before // hop :][:, :last])
        frames = 1 + len(waveform) // hop
        return np.concatenate(columns, axis=1)[:, :frames]


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
    ) -> None:
        """Move the model to the device and test the reduced precision, if one is used.

        Parameters
        ----------
        device, precision
            Chosen by `pick_device` and `pick_precision` if None.
        on_recomputed : callable
            Called with the number of windows that were computed again in fp32 because their first
            pass gave NaN or infinity.

        Raises
        ------
        NonFiniteError
            If the self-test fails even in fp32.
        """
        super().__init__(info, identity, device or pick_device())
        self.precision = precision or pick_precision(self.device)
        self.model = model.to(self.device).to(memory_format=torch.channels_last).eval()
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
        """Load a checkpoint. The other parameters are those of `Classifier`.

        Raises
        ------
        ml.checkpoint_info.CheckpointError
            If the file is not a usable checkpoint.
        NonFiniteError
            If the self-test fails even in fp32.
        """
        info = read_info(path)
        return cls(load_model(path, info), info, identity(path), device, precision, on_recomputed)

    def classify(self, waveforms: Sequence[Array]) -> list[Result]:
        features, predicted, shown = self.info.features, self.predict(waveforms), []
        for waveform, one in zip(waveforms, predicted, strict=True):
            start = round(one.window_starts_s[one.shown_window] * features.sample_rate)
            shown.append(waveform[start : start + features.window_samples])
        activations = self.explain(shown, [one.top for one in predicted])
        return [
            Result(**asdict(one), activations=explained)
            for one, explained in zip(predicted, activations, strict=True)
        ]

    def predict(self, waveforms: Sequence[Array]) -> list[ClipPrediction]:
        """Classify clips without explaining them, which takes a fraction of the time.

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
            If a window's probabilities are not finite in fp32.
        """
        features = self.info.features
        length, hop = features.window_samples, features.hop_samples
        starts = [window_starts(len(waveform), length, hop) for waveform in waveforms]
        windows = [
            waveform[start : start + length]
            for waveform, its_starts in zip(waveforms, starts, strict=True)
            for start in its_starts
        ]
        rows = iter(self._in_chunks(windows, self._outputs))
        found = []
        for its_starts in starts:
            both = np.stack(list(islice(rows, len(its_starts))))
            stacked, embeddings = np.split(both, [len(self.info.classes)], axis=1)
            mean = stacked.mean(axis=0)
            starts_s = tuple(start / features.sample_rate for start in its_starts)
            shown = int(stacked[:, mean.argmax()].argmax())
            found.append(ClipPrediction(mean, stacked, embeddings, starts_s, shown))
        return found

    def explain(
        self, windows: Sequence[Array], classes: Sequence[Sequence[int]]
    ) -> list[Activations]:
        """Return the activations of each window.

        Parameters
        ----------
        windows : sequence of (samples,) float32
            Each at most a window long.
        classes : sequence of sequences of int
            For each window, the classes to attribute, the most important first. Every window has
            the same number of classes.

        Raises
        ------
        NonFiniteError
            If a window's activations are not finite in fp32.
        """
        asked, silence = torch.tensor(classes, device=self.device), self.info.features.silence
        return self._in_chunks(
            windows,
            lambda pictures, numbers, precision: explain(
                self.model, pictures, silence, asked[list(numbers)], precision
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
        classes = torch.tensor([asked], device=self.device)
        (found,) = self._in_chunks(
            [window],
            lambda pictures, _, precision: channels_of(
                self.model, pictures, name, classes, precision
            ),
        )
        return found

    # --- internals ------------------------------------------------------------------------

    def _in_chunks(self, windows: Sequence[Array], run: Run[Row]) -> list[Row]:
        """Compute the rows of all windows chunk by chunk, and halve the chunk if memory runs out.

        Raises
        ------
        NonFiniteError
            If a row is not finite in fp32.
        """
        rows: list[Row] = []
        while len(rows) < len(windows):
            chunk = windows[len(rows) : len(rows) + self.chunk_windows]
            try:
                numbers = range(len(rows), len(rows) + len(chunk))
                rows += self._finite(run, self._pictures(chunk), numbers)
            except torch.OutOfMemoryError:
                if len(chunk) == 1:
                    raise
                self.chunk_windows = max(1, len(chunk) // 2)
                torch.cuda.empty_cache()
        return rows

    def _finite(self, run: Run[Row], pictures: Tensor, numbers: Sequence[int]) -> list[Row]:
        """Return the rows of one pass. Rows that are not finite are computed again in fp32."""
        rows = list(run(pictures, numbers, self.precision))
        broken = [place for place, row in enumerate(rows) if not all_finite(row)]
        if not broken:
            return rows
        if self.precision != torch.float32:
            again = run(pictures[broken], [numbers[place] for place in broken], torch.float32)
            for place, row in zip(broken, again, strict=True):
                rows[place] = row
            if not self.recomputed_windows:
                message = (
                    "%s produced non-finite values in %s; the affected windows are recomputed in "
                    "fp32. Further occurrences are counted but not logged."
                )
                logger.warning(message, self.identity, self.precision)
            self.recomputed_windows += len(broken)
            self.on_recomputed(len(broken))
        if not all(all_finite(rows[place]) for place in broken):
            raise NonFiniteError(f"{self.identity} produces non-finite values in fp32.")
        return rows

    def _self_test(self) -> None:
        """Compare the reduced precision with fp32 on seeded noise of the real shape.

        Fall back to fp32 if a probability differs by more than SELF_TEST_TOLERANCE.
        """
        generator = torch.Generator().manual_seed(0)
        samples = self.info.features.window_samples
        loudness = torch.logspace(-4, -0.5, SELF_TEST_WINDOWS)[:, None]
        noise = torch.randn(SELF_TEST_WINDOWS, samples, generator=generator) * loudness
        pictures = self._pictures(list(noise.numpy()))
        numbers = range(SELF_TEST_WINDOWS)
        exact = self._outputs(pictures, numbers, torch.float32)
        if not all_finite(exact):
            raise NonFiniteError(f"{self.identity} produces non-finite values in fp32.")
        reduced = self._outputs(pictures, numbers, self.precision)
        error = np.abs((reduced - exact)[:, : len(self.info.classes)]).max()
        # A comparison with NaN is false.
        if not error <= SELF_TEST_TOLERANCE:
            message = "%s: %s differs from fp32 by %.3f in the self-test; fp32 is used instead."
            logger.warning(message, self.identity, self.precision, error)
            self.precision = torch.float32

    @torch.no_grad()
    def _pictures(self, windows: Sequence[Array]) -> Tensor:
        """Return the spectrograms of windows. Short windows are padded with zeros at the end."""
        samples = self.info.features.window_samples
        stacked = torch.zeros(len(windows), samples, pin_memory=self.device.type == "cuda")
        for row, window in zip(stacked, windows, strict=True):
            row[: len(window)] = torch.from_numpy(window)
        pictures = self.log_mel(stacked.to(self.device, non_blocking=True))
        return pictures.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def _outputs(self, pictures: Tensor, _: Sequence[int], precision: torch.dtype) -> Array:
        """Return probabilities and embedding side by side, (batch, classes + 512)."""
        with torch.autocast(self.device.type, precision, enabled=precision != torch.float32):
            output = self.model(pictures)
        probabilities = torch.softmax(output.logits.float() / self.info.temperature, dim=1)
        return torch.cat([probabilities, output.pooled.float()], dim=1).cpu().numpy()
