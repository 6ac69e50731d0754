"""Render the files of an analysis."""

import json
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO

from classifier import storage
from ml import map_archive
from ml.audio.decode import Sound
from ml.audio.encode import write_flac
from ml.audio.waveform import Waveform
from ml.base_classifier import BaseClassifier
from ml.predictions import Result
from ml.render_metadata import EarlyPictures, FrequencyTick, RenderMetadata, WindowPrediction
from ml.rendering import spectrogram


@dataclass(frozen=True, slots=True)
class Drawn:
    """The pictures that need no result.

    Attributes
    ----------
    peaks : bytes
        JSON of the waveform's peaks.
    stored : bool
        Whether the spectrogram and the peaks are already in the folder of the analysis.
    took_s : float
        Time to draw and store them early.
    """

    frames: int
    spectrogram: spectrogram.SpectrogramPictures
    peaks: bytes
    stored: bool = False
    took_s: float = 0.0

    @property
    def contents(self) -> dict[str, storage.Content]:
        """The content of the files that may be stored early, by name."""
        return {storage.SPECTROGRAM: self.spectrogram.picture, storage.PEAKS: self.peaks}


def draw(classifier: BaseClassifier, sound: Sound[Waveform]) -> Drawn:
    """Draw the pictures that need no result: the spectrogram and the waveform."""
    frames = classifier.info.features.frames(len(sound.waveform))
    pictures = spectrogram.draw(classifier.spectrogram_parts(sound.waveform), frames)
    peaks = json.dumps(spectrogram.peaks(sound.waveform), separators=(",", ":"))
    return Drawn(frames, pictures, peaks.encode())


def early_pictures(classifier: BaseClassifier, drawn: Drawn) -> EarlyPictures:
    """Return what the page needs to show the pictures before the result."""
    features = classifier.info.features
    return EarlyPictures(
        low_db=drawn.spectrogram.low_db,
        high_db=drawn.spectrogram.high_db,
        columns=drawn.spectrogram.columns,
        mels=features.mels,
        ticks=_ticks(classifier),
        window_s=features.window_s,
    )


def render(
    classifier: BaseClassifier,
    sound: Sound[Waveform],
    result: Result,
    drawn: Drawn | None = None,
) -> tuple[dict[str, storage.Content], RenderMetadata]:
    """Render the files of one analysis.

    Parameters
    ----------
    drawn : Drawn or None
        The pictures of `draw`, if they are drawn already.

    Returns
    -------
    contents : the content of the files by name, without those that are stored already
    metadata : what the page needs to show them
    """
    features, classes = classifier.info.features, classifier.info.classes
    drawn = drawn or draw(classifier, sound)
    of_shown = result.window_probabilities[result.shown_window]
    archive = map_archive.pack(result.activations, of_shown, classes)
    contents: dict[str, storage.Content] = {
        storage.STRIP: drawn.spectrogram.strip,
        storage.MAPS: archive.data,
    }
    if not drawn.stored:
        contents |= drawn.contents
    if not sound.playable:  # by browsers
        contents[storage.PLAYABLE] = _playable(sound)
    windows = zip(result.window_starts_s, result.window_probabilities, strict=True)
    predictions = tuple(
        WindowPrediction(round(start_s, 3), classes[row.argmax()], round(float(row.max()), 4))
        for start_s, row in windows
    )
    return contents, RenderMetadata(
        low_db=drawn.spectrogram.low_db,
        high_db=drawn.spectrogram.high_db,
        frames=drawn.frames,
        shown_columns=drawn.spectrogram.columns,
        ticks=_ticks(classifier),
        band_centres_hz=tuple(map(round, classifier.log_mel.band_centres_hz())),
        window_s=features.window_s,
        shown_window=result.shown_window,
        window_predictions=predictions if len(predictions) > 1 else (),
        index=archive.index,
    )


def _ticks(classifier: BaseClassifier) -> tuple[FrequencyTick, ...]:
    centres_hz = classifier.log_mel.band_centres_hz()
    return spectrogram.frequency_ticks(centres_hz, classifier.info.features.f_max_hz)


def _playable(sound: Sound[Waveform]) -> IO[bytes]:
    """Return an open temporary file with the sound as FLAC, which may be too large for memory."""
    file = TemporaryFile(dir=storage.incoming_folder())  # noqa: SIM115 - its reader closes it
    write_flac(file, sound.waveform, sound.sample_rate)
    return file
