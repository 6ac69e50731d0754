"""The Classifier: waveforms in, what was heard and how out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml import checkpoint
from ml.checkpoint import CheckpointInfo
from ml.explain import channel_means, class_activation
from ml.features import LogMel
from ml.model import AudioCNN, Heard

Array = NDArray[np.float32]

# Windows in one forward pass. The CPU gains nothing from more; see bench/README.md.
CHUNK_WINDOWS = {"cpu": 16, "cuda": 64, "mps": 16}
# Long clips are turned into a spectrogram in parts of this length, to bound the memory.
SPECTROGRAM_PART_S = 60


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """mean: (H, W) float32, the mean over the map's `channels`. Row 0 is the lowest frequency."""

    mean: Array
    channels: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one clip sounded like, and how.

    probabilities: (classes,), the mean over windows.
    window_probabilities: (windows, classes) · window_starts_s: where each begins.
    The rest is of the window that speaks most for the answer, `shown_window`:
    logits (classes,) · pooled (512,) · maps by name · evidence (classes, H, W).
    """

    probabilities: Array
    window_probabilities: Array
    window_starts_s: tuple[float, ...]
    shown_window: int
    logits: Array
    pooled: Array
    maps: dict[str, FeatureMap]
    evidence: Array

    @property
    def answer(self) -> int:
        return int(self.probabilities.argmax())


@dataclass(frozen=True, slots=True)
class Prediction:
    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class _Inside:
    """What is kept of one window's forward pass."""

    logits: Array
    pooled: Array
    maps: dict[str, FeatureMap]
    evidence: Array


def window_starts(samples: int, window: int, hop: int) -> list[int]:
    """First samples of half-overlapping windows; the last one ends with the clip.

    A rest shorter than one spectrogram step (`hop`) adds no picture column, so no window.
    """
    starts = list(range(0, max(samples - window, 0) + 1, window // 2))
    if samples - window - starts[-1] >= hop:
        starts.append(samples - window)
    return starts


def pick_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_precision(device: torch.device) -> torch.dtype:
    """The fastest type the processor computes in natively."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False):
        return torch.bfloat16
    return torch.float32


class Listener(ABC):
    """All of a checkpoint but its weights. Whoever has them, or asks who has them, classifies.

    Not thread-safe; one per process.
    """

    def __init__(self, info: CheckpointInfo, identity: str, device: torch.device) -> None:
        self.info = info
        self.identity = identity
        self.device = device
        self.log_mel = LogMel(info.features).to(device)

    @abstractmethod
    def classify(
        self, waveforms: Sequence[Array], on_chunk: Callable[[], None] = lambda: None
    ) -> list[Result]:
        """waveforms: (samples,) float32 in [-1, 1] at `info.features.sample_rate` Hz, any lengths.

        `on_chunk` is called now and then, to show that the work goes on. A clip's result does
        not depend on its neighbours, up to the rounding of the precision in use.
        """

    def predictions(self, probabilities: Array) -> list[Prediction]:
        """All classes, the most probable first."""
        order = np.argsort(-probabilities, kind="stable")
        return [Prediction(self.info.classes[i], float(probabilities[i])) for i in order]

    def spectrogram(self, waveform: Array) -> Array:
        """(samples,) → (mels, frames) in dB, for the whole clip."""
        features = self.info.features
        hop, pad = features.hop_samples, features.n_fft
        part = SPECTROGRAM_PART_S * features.sample_rate // hop * hop
        columns = []
        with torch.inference_mode():
            for start in range(0, len(waveform), part):
                # Each part sees its neighbours' samples, so that no seam shows.
                before = min(start, -(-pad // hop) * hop)
                piece = torch.from_numpy(waveform[start - before : start + part + pad])
                short = max(0, pad - len(piece))
                piece = torch.nn.functional.pad(piece, (0, short)).to(self.device)
                decibels = self.log_mel.decibels(piece[None])[0, 0].cpu().numpy()
                most = part // hop if start + part < len(waveform) else None
                columns.append(decibels[:, before // hop :][:, :most])
        frames = 1 + len(waveform) // hop
        return np.concatenate(columns, axis=1)[:, :frames]


class Classifier(Listener):
    """A checkpoint with its weights, ready to listen."""

    def __init__(
        self,
        model: AudioCNN,
        info: CheckpointInfo,
        identity: str,
        device: torch.device | None = None,
        precision: torch.dtype | None = None,
    ) -> None:
        super().__init__(info, identity, device or pick_device())
        self.precision = precision or pick_precision(self.device)
        self.model = model.to(self.device).to(memory_format=torch.channels_last).eval()
        self.chunk_windows = CHUNK_WINDOWS[self.device.type]

    @classmethod
    def load(
        cls,
        path: Path | str,
        device: torch.device | None = None,
        precision: torch.dtype | None = None,
    ) -> "Classifier":
        """Raises ml.checkpoint.CheckpointError."""
        path = Path(path)
        info = checkpoint.read_info(path)
        model = checkpoint.load_model(path, info)
        return cls(model, info, checkpoint.identity(path), device, precision)

    def classify(
        self, waveforms: Sequence[Array], on_chunk: Callable[[], None] = lambda: None
    ) -> list[Result]:
        """`on_chunk` is called after each forward pass."""
        features = self.info.features
        starts = [
            window_starts(len(w), features.window_samples, features.hop_samples) for w in waveforms
        ]
        places = [(clip, start) for clip, clip_starts in enumerate(starts) for start in clip_starts]
        # A clip of one window is understood in one pass. Of a longer one only the answers are
        # kept, and the window that turns out to matter is looked into afterwards: flat memory.
        single = {clip for clip, clip_starts in enumerate(starts) if len(clip_starts) == 1}
        answers: list[list[Array]] = [[] for _ in waveforms]
        insides: dict[int, _Inside] = {}
        for chunk, heard in self._passes(waveforms, places, on_chunk):
            probabilities = self._probabilities(heard.logits)
            for (clip, _), row in zip(chunk, probabilities, strict=True):
                answers[clip].append(row)
            insides |= self._look_inside(heard, chunk, single)

        shown = {}
        for clip, rows in enumerate(answers):
            stacked = np.stack(rows)
            shown[clip] = int(stacked[:, stacked.mean(axis=0).argmax()].argmax())
        again = [(clip, starts[clip][shown[clip]]) for clip in shown if clip not in single]
        for chunk, heard in self._passes(waveforms, again, on_chunk):
            insides |= self._look_inside(heard, chunk, {clip for clip, _ in chunk})

        return [
            Result(
                probabilities=np.stack(answers[clip]).mean(axis=0),
                window_probabilities=np.stack(answers[clip]),
                window_starts_s=tuple(start / features.sample_rate for start in starts[clip]),
                shown_window=shown[clip],
                logits=insides[clip].logits,
                pooled=insides[clip].pooled,
                maps=insides[clip].maps,
                evidence=insides[clip].evidence,
            )
            for clip in range(len(waveforms))
        ]

    # --- inside ---------------------------------------------------------------------------

    def _passes(self, waveforms, places, on_chunk):
        """Yield (chunk of places, Heard), halving the chunk when memory runs out."""
        done = 0
        while done < len(places):
            chunk = places[done : done + self.chunk_windows]
            try:
                heard = self._listen(self._stack(waveforms, chunk))
            except torch.OutOfMemoryError:
                if len(chunk) == 1:
                    raise
                self.chunk_windows = max(1, len(chunk) // 2)
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            yield chunk, heard
            done += len(chunk)
            on_chunk()

    def _stack(self, waveforms: Sequence[Array], chunk: list[tuple[int, int]]) -> Tensor:
        """(windows, samples), short ones padded with zeros at the end."""
        samples = self.info.features.window_samples
        stacked = torch.zeros(len(chunk), samples, pin_memory=self.device.type == "cuda")
        for row, (clip, start) in zip(stacked, chunk, strict=True):
            piece = waveforms[clip][start : start + samples]
            row[: len(piece)] = torch.from_numpy(piece)
        return stacked.to(self.device, non_blocking=True)

    @torch.inference_mode()
    def _listen(self, windows: Tensor) -> Heard:
        picture = self.log_mel(windows).contiguous(memory_format=torch.channels_last)
        with torch.autocast(
            self.device.type, self.precision, enabled=self.precision != torch.float32
        ):
            return self.model(picture)

    def _probabilities(self, logits: Tensor) -> Array:
        return torch.softmax(logits.float() / self.info.temperature, dim=1).cpu().numpy()

    def _look_inside(
        self, heard: Heard, chunk: list[tuple[int, int]], clips: set[int]
    ) -> dict[int, _Inside]:
        """What is to be kept of those rows of `heard` that belong to `clips`."""
        wanted = [(row, clip) for row, (clip, _) in enumerate(chunk) if clip in clips]
        if not wanted:
            return {}
        with torch.inference_mode():
            rows = torch.tensor([row for row, _ in wanted], device=self.device)
            maps = {name: value[rows] for name, value in heard.maps.items()}
            means = {name: mean.cpu().numpy() for name, mean in channel_means(maps).items()}
            evidence = class_activation(self.model.fc.weight, maps["layer4"]).cpu().numpy()
            logits = heard.logits[rows].float().cpu().numpy()
            pooled = heard.pooled[rows].float().cpu().numpy()
        return {
            clip: _Inside(
                logits[place],
                pooled[place],
                {
                    name: FeatureMap(mean[place], maps[name].shape[1])
                    for name, mean in means.items()
                },
                evidence[place],
            )
            for place, (_, clip) in enumerate(wanted)
        }
