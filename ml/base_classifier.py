"""What all classifiers of a checkpoint have in common: everything but its weights."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ml.audio.waveform import Waveform
from ml.checkpoint_info import CheckpointError, CheckpointInfo
from ml.event_scores import scores_of, with_ranges
from ml.events import Event, EventSettings, find_events
from ml.explain.results import Array
from ml.features import LogMel
from ml.predictions import ClipPrediction, Prediction, Result
from ml.rejection import EMBEDDING, ClassDistance

# Long clips are turned into a spectrogram in parts of this length, to bound the memory.
SPECTROGRAM_PART_S = 60


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

    def __init__(
        self,
        info: CheckpointInfo,
        identity: str,
        device: torch.device,
        event_settings: EventSettings,
    ) -> None:
        """Raises CheckpointError if the header's statistics of “not sure” are damaged."""
        self.info = info
        self.identity = identity
        self.device = device
        self.event_settings = event_settings
        self.log_mel = LogMel(info.features).to(device)
        self.distance = _class_distance(info)

    @abstractmethod
    def classify(self, waveforms: Sequence[Waveform]) -> list[Result]:
        """Classify clips, with the activations of each clip's shown window.

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

    def events(self, predicted: ClipPrediction, duration_s: float) -> tuple[Event, ...]:
        """Return the events of a clip, by their start."""
        features, classes = self.info.features, self.info.classes
        scores = scores_of(predicted, features, duration_s)
        return tuple(
            with_ranges(event, classes.index(event.label), predicted, features)
            for event in find_events(scores, classes, self.event_settings)
        )

    def not_sure(self, predicted: ClipPrediction) -> bool:
        """Return whether a clip is probably none of the classes: the mean score of its windows.

        False if the checkpoint's header has no threshold for it.
        """
        rejection = self.info.rejection
        if rejection is None or self.distance is None:
            return False
        score = self.distance.scores(predicted.window_embeddings).mean()
        return bool(score < rejection.threshold)

    def spectrogram(self, waveform: Waveform) -> Array:
        """Return the log-mel spectrogram of a whole clip in dB.

        Parameters
        ----------
        waveform : (samples,) float32 in [-1, 1] at info.features.sample_rate Hz

        Returns
        -------
        Array
            (mels, frames); row 0 is the lowest frequency.
        """
        return np.concatenate(list(self.spectrogram_parts(waveform)), axis=1)

    def spectrogram_parts(
        self, waveform: Waveform, first: int = 0, frames: int | None = None
    ) -> Iterator[Array]:
        """Yield the log-mel spectrogram of a clip as `spectrogram` does, in parts, (mels, frames).

        Only one part is in memory at a time.

        Parameters
        ----------
        first : int
            The first frame.
        frames : int or None
            How many frames; by default all that follow.
        """
        features = self.info.features
        hop, pad = features.hop_samples, features.n_fft
        part = SPECTROGRAM_PART_S * features.sample_rate // hop * hop
        left = features.frames(len(waveform)) - first if frames is None else frames
        with torch.inference_mode():
            # The last frame may be centred on the end.
            for start in range(first * hop, max(len(waveform), first * hop + 1), part):
                if left <= 0:
                    break
                # Each part includes samples of its neighbours, so that the joins do not show.
                before = min(start, -(-pad // hop) * hop)
                piece = torch.from_numpy(waveform[start - before : start + part + pad])
                short = max(0, pad - len(piece))
                piece = torch.nn.functional.pad(piece, (0, short)).to(self.device)
                decibels = self.log_mel.decibels(piece[None])[0, 0].cpu().numpy()
                last = min(left, part // hop) if start + part < len(waveform) else left
                columns = decibels[:, before // hop :][:, :last]
                left -= columns.shape[1]
                yield columns
