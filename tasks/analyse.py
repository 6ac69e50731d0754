"""What a worker does when it is woken: take the next chunk, listen, save."""

import json
import logging
import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from classifier import storage
from classifier.checkpoints import inventory
from classifier.models import Analysis, Step
from classifier.monitoring import precision
from classifier.services.results import ClipFacts, Outcome, save_failure, save_result
from ml import map_archive
from ml.audio.decode import Sound
from ml.audio.encode import flac
from ml.checkpoint_info import CheckpointError
from ml.errors import AudioError
from ml.inference import BaseClassifier, Classifier, Result
from ml.render_metadata import RenderMetadata, WindowPrediction
from ml.rendering import spectrogram
from tasks.celery import app
from tasks.crash_recovery import crash_recovery
from tasks.decoding import decode
from tasks.lease import heartbeat
from tasks.remote import RemoteClassifier, RemoteError

logger = logging.getLogger(__name__)

CHUNK_CLIPS = 16
# Decoded, a minute of compressed sound is about 8 MB: bounds a chunk's memory and time.
CHUNK_BYTES = 50_000_000
UNAVAILABLE = (
    "inference_unavailable",
    "The machine that listens could not be reached, or refused.",
    "The sound is not to blame. Analyse it again later.",
)


# What some current browser cannot play gets a FLAC to listen to.
UNPLAYABLE = {"AIFF", "WMA", "AMR"}
# The default, and one that people ask for beside it.
MAX_LOADED = 2


class NotInstalledError(CheckpointError):
    """There is no such checkpoint here, or not any more."""


def load_classifier(checkpoint: str) -> BaseClassifier:
    """Whoever listens with this checkpoint, an identity or "" for the default.

    Raises CheckpointError, and modal.Error when there is no deployment to ask.
    """
    found = inventory.find(checkpoint)
    if found is None:
        raise NotInstalledError(f"{checkpoint or settings.CHECKPOINT} is not installed here.")
    loaded = _remote if settings.INFERENCE == "modal" else _local
    return loaded(found.path, found.identity)


def load_local_classifier(identity: str) -> Classifier:
    """A checkpoint with its weights in this process, also where analyses are heard at Modal.

    Raises CheckpointError.
    """
    found = next((one for one in inventory.installed() if one.identity == identity), None)
    if found is None:
        raise NotInstalledError(f"{identity} is not installed here.")
    return _local(found.path, found.identity)


# Both are loaded once per process, and anew when another file is put in their place.
@lru_cache(maxsize=MAX_LOADED)
def _local(path: Path, identity: str) -> Classifier:
    return Classifier.load(path, on_recomputed=precision.count_recomputed)


@lru_cache(maxsize=MAX_LOADED)
def _remote(path: Path, identity: str) -> BaseClassifier:
    return RemoteClassifier(path)


@app.task(name="tasks.analyse")
def classify(analysis_id: str) -> None:
    """`analysis_id` says why this worker was woken; the database says what is next."""
    if not _prepare():
        return
    chunk = Analysis.objects.claim(CHUNK_CLIPS, CHUNK_BYTES)
    if not chunk:
        return
    logger.info("woken by %s, took %d", analysis_id, len(chunk))
    token = chunk[0].token
    try:
        with crash_recovery(token), heartbeat(lambda: Analysis.objects.renew(token)):
            _analyse(chunk)
    except RemoteError:
        logger.exception("a chunk of %d was not listened to", len(chunk))
        Analysis.objects.held(token).give_back(*UNAVAILABLE)
    except OSError as error:
        logger.exception("a chunk of %d could not be finished", len(chunk))
        rows = Analysis.objects.held(token)
        # Nobody is to blame for a full disk: all wait until there is room.
        rows.put_back(chunk) if storage.is_full(error) else rows.give_back()
    except Exception:
        # Ours, not the files': each row goes back and is tried again alone.
        logger.exception("a chunk of %d could not be finished", len(chunk))
        Analysis.objects.held(token).give_back()


def _prepare() -> bool:
    """Load what the next chunk will need. Returns whether anything is to be done.

    Before anything is claimed, so that no lease runs meanwhile and a worker that cannot listen
    at all, or could not save what it heard, takes no clips. Raises as
    `listener_for`, but only for the default.
    """
    first = Analysis.objects.waiting().only("checkpoint").first()
    if first is None:
        return False
    if not storage.has_room():
        logger.warning("the disk is full: nothing is taken")
        return False
    try:
        load_classifier(first.checkpoint)
    except CheckpointError:
        if not first.checkpoint:
            raise
    return True


def _analyse(chunk: list[Analysis]) -> None:
    """One that was asked for by name and cannot be had is nobody's accident: no second try."""
    asked = chunk[0].checkpoint
    try:
        classifier = load_classifier(asked)
    except CheckpointError as error:
        if not asked:
            raise
        logger.warning("%d clips were to be heard by %s: %s", len(chunk), asked, error)
        for row in chunk:
            save_failure(row, *_missing(asked, error))
        return
    _Work(chunk, classifier).run()


def _missing(asked: str, error: CheckpointError) -> tuple[str, str, str]:
    if not isinstance(error, NotInstalledError):
        reason = "is installed but cannot be used"
    elif settings.INFERENCE == "modal":
        reason = "is not the one that listens at Modal"
    else:
        reason = "is no longer installed"
    return (
        "checkpoint_missing",
        f"It was to be heard by {asked}, which {reason}.",
        "Analyse it again with another checkpoint; the Models page shows those there are.",
    )


@dataclass(slots=True)
class _Work:
    """One chunk's way through the steps."""

    chunk: list[Analysis]
    classifier: BaseClassifier
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def token(self) -> str:
        return self.chunk[0].token

    def run(self) -> None:
        started = time.monotonic()
        sounds = [(row, sound) for row in self.chunk if (sound := self._decode(row)) is not None]
        self.timings["decoding_s"] = _per_clip(started, len(self.chunk))
        if not sounds:
            return
        self._enter(Step.CLASSIFYING)
        started = time.monotonic()
        results = self.classifier.classify([sound.waveform for _, sound in sounds], self._renew)
        self.timings["classifying_s"] = _per_clip(started, len(sounds))
        self.timings["chunk_clips"] = len(sounds)
        self._enter(Step.RENDERING)
        for (row, sound), result in zip(sounds, results, strict=True):
            self._render_and_save(row, sound, result)
            self._renew()

    def _decode(self, row: Analysis) -> Sound | None:
        self._renew()
        try:
            return decode(row.clip, self.classifier.info.features.sample_rate)
        except AudioError as error:
            save_failure(row, error.code, error.detail, error.hint)
            return None

    def _render_and_save(self, row: Analysis, sound: Sound, result: Result) -> None:
        started = time.monotonic()
        contents, metadata = render(self.classifier, sound, result)
        rendering_s = _per_clip(started, 1)
        Analysis.objects.held(self.token).filter(pk=row.pk).update(step=Step.SAVING)
        facts = ClipFacts(
            sound.format, round(sound.duration_s, 3), sound.source_rate_hz, sound.channels
        )
        outcome = Outcome(
            checkpoint=self.classifier.identity,
            predictions=[
                one.to_json() for one in self.classifier.predictions(result.probabilities)
            ],
            render_metadata=metadata,
            timings={**self.timings, "rendering_s": rendering_s},
            contents=contents,
        )
        if not save_result(row, facts, outcome):
            logger.warning("%s was no longer ours; its result is dropped", row.pk)

    def _enter(self, step: Step) -> None:
        Analysis.objects.held(self.token).update(step=step)

    def _renew(self) -> None:
        Analysis.objects.renew(self.token)


def render(
    classifier: BaseClassifier, sound: Sound, result: Result
) -> tuple[dict[str, bytes], RenderMetadata]:
    """The files of one analysis by name, and what is on them."""
    features, classes = classifier.info.features, classifier.info.classes
    decibels = classifier.spectrogram(sound.waveform)
    drawn = spectrogram.draw(decibels)
    archive = map_archive.pack(result.activations, classes)
    peaks = json.dumps(spectrogram.peaks(sound.waveform), separators=(",", ":"))
    contents = {
        storage.SPECTROGRAM: drawn.picture,
        storage.STRIP: drawn.strip,
        storage.MAPS: archive.data,
        storage.PEAKS: peaks.encode(),
    }
    if sound.format in UNPLAYABLE:
        contents[storage.PLAYABLE] = flac(sound.waveform, sound.sample_rate)
    centres_hz = classifier.log_mel.band_centres_hz()
    windows = zip(result.window_starts_s, result.window_probabilities, strict=True)
    predictions = tuple(
        WindowPrediction(round(start_s, 3), classes[row.argmax()], round(float(row.max()), 4))
        for start_s, row in windows
    )
    return contents, RenderMetadata(
        low_db=drawn.low_db,
        high_db=drawn.high_db,
        frames=decibels.shape[1],
        shown_columns=drawn.columns,
        ticks=spectrogram.frequency_ticks(centres_hz, features.f_max_hz),
        band_centres_hz=tuple(map(round, centres_hz)),
        window_s=features.window_s,
        shown_window=result.shown_window,
        window_predictions=predictions if len(predictions) > 1 else (),
        index=archive.index,
    )


def _per_clip(started: float, clips: int) -> float:
    """Seconds since `started`, shared among the clips."""
    return round((time.monotonic() - started) / clips, 4)
