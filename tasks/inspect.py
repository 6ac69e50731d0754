"""The Celery task that makes one inspection: claim, compute, save."""

import logging

from classifier import storage
from classifier.models import Inspection, InspectionKind
from classifier.services import inspections
from ml.checkpoint_info import CheckpointError
from ml.errors import AudioError
from ml.explain.results import Array
from ml.inference import Classifier
from tasks import inspection_kinds
from tasks.analyse import NotInstalledError, load_local_classifier
from tasks.celery import app
from tasks.crash_recovery import crash_recovery
from tasks.decoding import decode
from tasks.lease import heartbeat

logger = logging.getLogger(__name__)


@app.task(name="tasks.inspect")
def inspection(inspection_id: str) -> None:
    """`inspection_id` says why this worker was woken; the database says what is next."""
    if not storage.has_room():
        logger.warning("the disk is full: nothing is taken")
        return
    _prepare()
    mine = Inspection.objects.claim()
    if mine is None:
        return
    logger.info("woken by %s, inspects %s", inspection_id, mine.analysis_id)
    try:
        with crash_recovery(mine.token), heartbeat(lambda: Inspection.objects.renew(mine.token)):
            _make(mine)
    except Exception:
        # Ours, not the sound's: it goes back and is tried again.
        logger.exception("the inspection %s could not be finished", mine.pk)
        Inspection.objects.held(mine.token).give_back()


def _prepare() -> None:
    """Load what the next inspection needs before it is claimed, so that no lease runs meanwhile."""
    first = Inspection.objects.waiting().select_related("analysis").first()
    if first is None:
        return
    try:
        load_local_classifier(first.analysis.checkpoint)
    except CheckpointError as error:
        logger.warning("the next inspection will fail: %s", error)


def _make(mine: Inspection) -> None:
    """What cannot be had at the second try either ends it at once."""
    try:
        classifier = load_local_classifier(mine.analysis.checkpoint)
        waveform = decode(mine.analysis.clip, classifier.info.features.sample_rate).waveform
    except CheckpointError as error:
        inspections.fail(mine, *_missing(mine.analysis.checkpoint, error))
    except AudioError as error:
        inspections.fail(mine, error.code, error.detail, error.hint)
    else:
        found = _look(mine, classifier, waveform)
        if not inspections.save(mine, found.figures, found.contents):
            logger.warning("%s was no longer ours; what was found is dropped", mine.pk)


def _missing(identity: str, error: CheckpointError) -> tuple[str, str, str]:
    gone = isinstance(error, NotInstalledError)
    reason = "is no longer installed" if gone else "cannot be used any more"
    return (
        "checkpoint_missing",
        f"It was heard by {identity}, which {reason}.",
        "Analyse the sound again, and inspect that analysis.",
    )


def _look(mine: Inspection, classifier: Classifier, waveform: Array) -> inspection_kinds.Found:
    analysis = mine.analysis
    window = inspection_kinds.cut(classifier, waveform, mine.window)
    if mine.kind == InspectionKind.SOUND:
        found = inspection_kinds.sound(classifier, window, mine.label)
    elif mine.kind == InspectionKind.CHANNELS:
        found = inspection_kinds.channels(classifier, window, mine.map, analysis.label)
    else:
        best = [prediction["class"] for prediction in analysis.predictions[: inspection_kinds.BEST]]
        found = inspection_kinds.another_window(classifier, window, best)
    place = {"start_s": round(window.start_s, 3), "window_s": classifier.info.features.window_s}
    return inspection_kinds.Found(place | found.figures, found.contents)
