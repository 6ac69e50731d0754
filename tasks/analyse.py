"""The Celery task that analyses a chunk: claim, decode, classify, render, save."""

import logging
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from django.conf import settings
from kombu.exceptions import OperationalError

from classifier import storage
from classifier.checkpoints import inventory
from classifier.models import Analysis, Inspection, Lane, Step
from classifier.monitoring import precision
from classifier.services import batches
from classifier.services.dispatch import dispatch_analysis
from classifier.services.results import AnalysisResult, save_analyses, save_early_pictures
from ml.audio.decode import Sound
from ml.audio.waveform import Waveform
from ml.base_classifier import BaseClassifier
from ml.checkpoint_info import CheckpointError
from ml.clock_time import to_columns
from ml.errors import AudioError, Problem
from ml.inference import Classifier
from ml.predictions import Result
from ml.recording_names import from_name
from tasks import decoding
from tasks.celery import app
from tasks.lease import lease
from tasks.remote import RemoteClassifier, RemoteError
from tasks.rendering import Drawn, draw, early_pictures, render

logger = logging.getLogger(__name__)

# A chunk of bulk work has several parts, so that the clips of the next part are decoded while the
# network computes. More clips in a part would not be faster.
CHUNK_CLIPS, PART_CLIPS = 64, 16
# A part ends with the clip with which it is this long: bounds its time, and the disk space of long
# recordings.
PART_S = 960.0
# Long recordings are given back after this time, well before the time limit of a task.
LONGEST_CHUNK_S = 60.0
# From this length on, the pictures of a single clip are stored before it is classified: that takes
# about ten times as long as drawing them.
EARLY_PICTURES_S = 30.0
# A minute of compressed sound is about a megabyte: bounds a chunk's time.
CHUNK_BYTES = 50_000_000
UNAVAILABLE = Problem(
    "inference_unavailable",
    "The inference service could not be reached.",
    "This is not a problem with the sound. Analyse it again later.",
)
# The default checkpoint, and another one.
MAX_LOADED = 2

Sounds = list[tuple[Analysis, Sound[Waveform]]]
# By the key of an analysis.
_Drawn = dict[Any, Drawn]
# The rows of a part, and its results once they are rendered.
_Rendered = tuple[Any, Future[list[AnalysisResult]]]


class NotInstalledError(CheckpointError):
    """The checkpoint is not installed here, or no longer."""


def load_classifier(checkpoint: str) -> BaseClassifier:
    """Return the classifier of a checkpoint: in this process, or on Modal if INFERENCE says so.

    Parameters
    ----------
    checkpoint : an identity, or "" for the default

    Raises
    ------
    CheckpointError
        The checkpoint is not installed or cannot be read.
    modal.Error
        There is no deployment.
    """
    modal = settings.INFERENCE == "modal"
    found = inventory.find(checkpoint)
    if found is None:
        reason = "not the one deployed on Modal" if modal else "no longer installed"
        raise NotInstalledError(f"{checkpoint or settings.CHECKPOINT} is {reason}.")
    return _remote(found.path, found.identity) if modal else load_local_classifier(found.identity)


def load_local_classifier(identity: str) -> Classifier:
    """Return a checkpoint with its weights in this process, also when analyses run on Modal.

    Raises
    ------
    CheckpointError
        The checkpoint is not installed or cannot be read.
    """
    for found in inventory.installed():
        if found.identity == identity:
            return _local(found.path, identity, inventory.decoder_digest(identity))
    raise NotInstalledError(f"{identity} is no longer installed.")


def missing_checkpoint(identity: str, error: CheckpointError, hint: str) -> Problem:
    """Return the problem of a job whose checkpoint could not be loaded."""
    installed = not isinstance(error, NotInstalledError)
    detail = f"{identity} is installed but cannot be used." if installed else str(error)
    return Problem("checkpoint_missing", f"The checkpoint {detail}", hint)


# Loaded once per process, and again when the file or that of the mask decoder is replaced.
@lru_cache(maxsize=MAX_LOADED)
def _local(path: Path, identity: str, decoder: str | None) -> Classifier:
    return Classifier.load(path, on_recomputed=precision.count_recomputed)


@lru_cache(maxsize=MAX_LOADED)
def _remote(path: Path, identity: str) -> BaseClassifier:
    return RemoteClassifier(path)


@app.task(name="tasks.analyse")
def analyse(analysis_id: str) -> None:
    """Claim and analyse the next chunk.

    Parameters
    ----------
    analysis_id : the analysis that this worker was woken for, only logged; the database decides
        what is claimed
    """
    if not _prepare() or not (chunk := Analysis.objects.claim(CHUNK_CLIPS, CHUNK_BYTES)):
        return
    logger.info("woken by %s, claimed %d analyses", analysis_id, len(chunk))
    with lease(chunk):
        try:
            _analyse(chunk)
        except RemoteError:
            logger.exception("a chunk of %d clips could not be classified", len(chunk))
            Analysis.objects.held(chunk[0].token).requeue_or_fail(UNAVAILABLE)
    _wake_next(chunk[0].lane)


def _wake_next(lane: int) -> None:
    """Wake a worker if rows of the lane wait: there are fewer bulk messages than bulk rows."""
    if (first := Analysis.objects.waiting().filter(lane=lane).only("pk").first()) is None:
        return
    try:
        dispatch_analysis(first.pk, lane)
    except OperationalError as error:
        logger.warning("no worker was woken, the sweep will do it: %s", error)


def _prepare() -> bool:
    """Load the classifier of the next chunk; return whether there is work that can be done.

    This happens before a claim, so that no lease runs meanwhile, and a worker that cannot classify
    or save takes no clips. Raises as `load_classifier`, but CheckpointError only for the default.
    """
    if (first := Analysis.objects.waiting().only("checkpoint").first()) is None:
        return False
    if not storage.has_room():
        logger.warning("the disk is full: no analyses are claimed")
        return False
    try:
        load_classifier(first.checkpoint)
    except CheckpointError:
        if not first.checkpoint:
            raise
    return True


def _analyse(chunk: list[Analysis]) -> None:
    """Analyse a claimed chunk.

    A checkpoint that was chosen by name and cannot be loaded fails the chunk without a retry.
    """
    asked = chunk[0].checkpoint
    try:
        classifier = load_classifier(asked)
    except CheckpointError as error:
        if not asked:
            raise
        message = "%d analyses failed because %s could not be loaded: %s"
        logger.warning(message, len(chunk), asked, error)
        hint = "Analyse the sound again with another checkpoint from the Models page."
        Analysis.objects.held(chunk[0].token).fail(missing_checkpoint(asked, error, hint))
    else:
        _classify(chunk, classifier)


def _classify(chunk: list[Analysis], classifier: BaseClassifier) -> None:
    """Classify a claimed chunk part by part.

    While a part is rendered, in a thread, the next one is classified. The rest of the chunk is
    returned to the queue if single clips wait, or if the chunk takes long.
    """
    held = Analysis.objects.held(chunk[0].token)
    begun = started = time.monotonic()
    finished = 0
    rendered: _Rendered | None = None
    # One thread of PyTorch: the network has the others.
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as renderer:
        for rows, sounds in _decoded(chunk, classifier.info.features.sample_rate):
            timings = {"decoding_s": _per_clip(started, len(rows))}
            if sounds:
                part = held.filter(pk__in=[row.pk for row, _ in sounds])
                try:
                    drawn = _draw_early(sounds, classifier)
                    part.set_step(Step.CLASSIFYING)
                    results = _classify_part(sounds, classifier, timings)
                finally:  # what is rendered is saved, whatever happens to this part
                    _save(rendered)
                    rendered = None
                part.set_step(Step.RENDERING)
                work = renderer.submit(_render_part, sounds, results, classifier, timings, drawn)
                rendered = (part, work)
            finished += len(rows)
            late = time.monotonic() - begun > LONGEST_CHUNK_S
            if finished < len(chunk) and (late or _should_give_way(chunk[0].lane)):
                break
            started = time.monotonic()
        _save(rendered)
    if finished < len(chunk):
        _give_back(chunk)


def _give_back(chunk: list[Analysis]) -> None:
    """Return the unfinished rows of a chunk to the queue.

    Rows of a batch that was cancelled meanwhile are cancelled, as the others of the batch were.
    """
    Analysis.objects.held(chunk[0].token).requeue_uncounted(chunk)
    batches.cancel_returned(chunk)


def _decoded(chunk: list[Analysis], sample_rate: int) -> Iterator[tuple[list[Analysis], Sounds]]:
    """Yield the parts of a chunk and their sounds. While one is classified, the next is decoded."""
    waiting = deque(chunk)
    begin = partial(decoding.begin, waiting, sample_rate, PART_CLIPS, PART_S)
    try:
        rows, sounds = _sounds(begin())
        while rows:
            ahead = begin()
            yield rows, sounds
            rows, sounds = _sounds(ahead)
    finally:
        waiting.clear()


def _sounds(part: Future[list[decoding.Decoded]]) -> tuple[list[Analysis], Sounds]:
    """Wait for a part. A clip that cannot be decoded fails at once, alone."""
    decoded = part.result()
    sounds: Sounds = []
    for row, found in decoded:
        if isinstance(found, AudioError):
            row.held().fail(found.problem)
        else:
            sounds.append((row, found))
    return [row for row, _ in decoded], sounds


def _should_give_way(lane: int) -> bool:
    """Whether a chunk of bulk work has to stop, because somebody waits for a single result."""
    single = Analysis.objects.waiting().filter(lane=Lane.INTERACTIVE)
    return lane == Lane.BULK and (single.exists() or Inspection.objects.waiting().exists())


def _draw_early(sounds: Sounds, classifier: BaseClassifier) -> _Drawn:
    """Draw and store the pictures of long clips that somebody waits for."""
    found: _Drawn = {}
    for row, sound in sounds:
        if row.lane == Lane.INTERACTIVE and sound.duration_s >= EARLY_PICTURES_S:
            started = time.monotonic()
            drawn = draw(classifier, sound)
            pictures = early_pictures(classifier, drawn)
            stored = save_early_pictures(row, drawn.contents, pictures, _facts(row, sound))
            found[row.pk] = replace(drawn, stored=stored, took_s=_per_clip(started, 1))
    return found


def _classify_part(
    sounds: Sounds, classifier: BaseClassifier, timings: dict[str, float]
) -> list[Result]:
    """Classify the clips of one part, and add the times to `timings`."""
    started = time.monotonic()
    results = classifier.classify([sound.waveform for _, sound in sounds])
    timings |= {"classifying_s": _per_clip(started, len(sounds)), "chunk_clips": len(sounds)}
    return results


def _render_part(
    sounds: Sounds,
    results: list[Result],
    classifier: BaseClassifier,
    timings: dict[str, float],
    drawn: _Drawn,
) -> list[AnalysisResult]:
    return [
        _analysis_result(row, sound, result, classifier, timings, drawn.get(row.pk))
        for (row, sound), result in zip(sounds, results, strict=True)
    ]


def _save(rendered: _Rendered | None) -> None:
    """Save the clips of one part when they are rendered."""
    if rendered is None:
        return
    part, work = rendered
    results = work.result()
    part.set_step(Step.SAVING)
    for row in save_analyses(results):
        logger.warning("the lease of %s was lost; its result is discarded", row.pk)


def _analysis_result(
    row: Analysis,
    sound: Sound[Waveform],
    result: Result,
    classifier: BaseClassifier,
    timings: dict[str, float],
    drawn: Drawn | None,
) -> AnalysisResult:
    started = time.monotonic()
    contents, metadata = render(classifier, sound, result, drawn)
    rendering_s = _per_clip(started, 1) + (drawn.took_s if drawn else 0)
    values = {
        "checkpoint": classifier.identity,
        "predictions": [one.to_json() for one in classifier.predictions(result.probabilities)],
        "not_sure": sound.silent or classifier.not_sure(result),
        "long": metadata.is_long(sound.duration_s),
        "embedding": result.embedding.astype("<f2").tobytes(),
        "render_metadata": metadata.to_json(),
        "timings": {**timings, "rendering_s": round(rendering_s, 4)},
    }
    # The network finds snoring in the noise of a quiet recorder.
    events = () if sound.silent else classifier.events(result, sound.duration_s)
    return AnalysisResult(row, contents, values, _facts(row, sound), events)


def _facts(row: Analysis, sound: Sound[Waveform]) -> dict[str, Any]:
    """Return what the file says about the clip, as columns."""
    recorded = sound.recorded or from_name(row.clip.name, settings.RECORDING_NAME_PATTERN)
    return sound.source | to_columns(recorded) | {"duration_s": round(sound.duration_s, 3)}


def _per_clip(started: float, clips: int) -> float:
    """Return the seconds since `started`, divided by the number of clips."""
    return round((time.monotonic() - started) / clips, 4)
