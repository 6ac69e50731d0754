"""The Celery task that makes one inspection: claim, compute, save."""

import io
import json
import logging
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from classifier import storage
from classifier.checkpoints import inventory
from classifier.models import EXPLANATIONS, Inspection, InspectionKind
from classifier.services import results
from ml import map_archive, tiles
from ml.audio.encode import flac
from ml.audio.waveform import Waveform, WaveformPart
from ml.checkpoint_info import CheckpointError
from ml.errors import AudioError, Problem
from ml.explain.masking import Masking, equal_gains, mask_of
from ml.explain.results import Array
from ml.explain.verdict import judge
from ml.features import LogMel
from ml.inference import Classifier
from ml.predictions import window_starts
from ml.render_metadata import RenderMetadata
from ml.rendering import png, spectrogram
from tasks import event_sounds
from tasks.analyse import load_local_classifier, missing_checkpoint
from tasks.celery import app
from tasks.decoding import decode
from tasks.lease import lease

logger = logging.getLogger(__name__)

# Every map's number of channels is a multiple of this.
SHEET_COLUMNS = 16
TILE_PEAKS = 2048
DECODER_UNUSABLE = Problem(
    "decoder_unusable",
    "The mask decoder of the checkpoint cannot be used, so nothing can be explained.",
    "Ask the administrator to train it again, or to remove its file.",
)


@dataclass(frozen=True, slots=True)
class InspectionResult:
    """The result of an inspection.

    Attributes
    ----------
    figures : plain values
    contents : the files by name
    """

    figures: dict[str, Any]
    contents: dict[str, bytes]


@app.task(name="tasks.inspect")
def inspect(inspection_id: str) -> None:
    """Claim and make the next inspection.

    Parameters
    ----------
    inspection_id : the inspection that this worker was woken for, only logged; the database
        decides what is claimed
    """
    if not storage.has_room():
        logger.warning("the disk is full: no inspections are claimed")
        return
    _prepare()
    if (inspection := Inspection.objects.claim()) is None:
        return
    logger.info("woken by %s, inspecting %s", inspection_id, inspection.analysis_id)
    with lease([inspection]):
        _inspect(inspection)


def _prepare() -> None:
    """Load what the next inspection needs before a claim, so that no lease runs meanwhile."""
    first = Inspection.objects.waiting().select_related("analysis").first()
    if first is None or first.kind == InspectionKind.SOUNDS:
        return
    try:
        load_local_classifier(first.analysis.checkpoint)
    except CheckpointError as error:
        logger.warning("the next inspection will fail: %s", error)


def _inspect(inspection: Inspection) -> None:
    """Make a claimed inspection.

    A missing checkpoint, an unusable mask decoder or an unreadable clip fails it at once, because a
    retry would not help.
    """
    if inspection.kind == InspectionKind.SOUNDS:
        event_sounds.save(inspection)
        return
    # Read before the decoder is loaded: if the file is replaced in between, the explanation counts
    # as outdated, although it is not.
    decoder = inventory.decoder_digest(inspection.analysis.checkpoint)
    try:
        classifier = load_local_classifier(inspection.analysis.checkpoint)
        rate = classifier.info.features.sample_rate
        waveform = decode(inspection.analysis.clip, rate).waveform
    except CheckpointError as error:
        hint = "Analyse the sound again, and inspect that analysis."
        inspection.held().fail(missing_checkpoint(inspection.analysis.checkpoint, error, hint))
        return
    except AudioError as error:
        inspection.held().fail(error.problem)
        return
    try:
        found = _look(inspection, classifier, waveform)
        if inspection.kind in EXPLANATIONS:
            found.figures["decoder"] = decoder
    except CheckpointError as error:
        logger.error("%s cannot be explained: %s", classifier.identity, error)
        inspection.held().fail(DECODER_UNUSABLE)
    else:
        if not results.save(inspection, found.contents, {"figures": found.figures}):
            logger.warning("the lease of %s was lost; its result is discarded", inspection.pk)


def _look(inspection: Inspection, classifier: Classifier, waveform: Waveform) -> InspectionResult:
    if inspection.kind != InspectionKind.TILE:
        return _inspect_window(inspection, classifier, waveform)
    metadata = inspection.analysis.metadata
    assert metadata is not None  # of a finished analysis
    return tile(classifier, waveform, metadata, inspection.map, inspection.window)


def _inspect_window(
    inspection: Inspection, classifier: Classifier, waveform: Waveform
) -> InspectionResult:
    """Inspect one window of the clip, of which nothing else is read into memory."""
    features = classifier.info.features
    starts = window_starts(len(waveform), features.window_samples, features.hop_samples)
    start = starts[inspection.window]
    window = waveform[start : start + features.window_samples]
    if inspection.kind in EXPLANATIONS:
        refined = inspection.kind == InspectionKind.REFINED
        known = _known_probability(inspection)
        found = explanation(classifier, window, inspection.label, known, refined)
    elif inspection.kind == InspectionKind.CHANNELS:
        found = channels(classifier, window, inspection.map, _label_of(inspection))
    else:
        found = another_window(classifier, window)
    place = {"start_s": round(start / features.sample_rate, 3), "window_s": features.window_s}
    return InspectionResult(place | found.figures, found.contents)


def _known_probability(inspection: Inspection) -> float | None:
    """Return the probability of the inspected class in the window, None if it is not stored."""
    analysis = inspection.analysis
    if analysis.metadata is None or analysis.metadata.window_predictions:
        return None
    return next(p["confidence"] for p in analysis.predictions if p["class"] == inspection.label)


def _label_of(inspection: Inspection) -> str:
    """Return the class with the highest probability in the inspected window."""
    metadata = inspection.analysis.metadata
    if metadata and metadata.window_predictions:
        return metadata.window_predictions[inspection.window].label
    return inspection.analysis.label


# --- kinds of inspection; window: (samples,) float32, at most a window long ----------------------


def explanation(
    classifier: Classifier,
    window: Array,
    label: str,
    known: float | None = None,
    refined: bool = False,
) -> InspectionResult:
    """Explain a class: what it is based on as picture and sound, the channels, and the verdict.

    The picture of the attribution is the mask that splits the sound, so that a person sees what is
    played. Both parts are scaled to the loudness of the window, within the limits of
    `equal_gains`. The probabilities in the figures are computed before scaling.

    Parameters
    ----------
    window : (samples,) float32
    label : name of the class
    known : probability of the class in the window; computed if None
    refined : optimise the explanation for this window, which takes seconds
    """
    asked = classifier.info.classes.index(label)
    found = (classifier.refine if refined else classifier.explain)(window, asked)
    masks = mask_of(torch.from_numpy(found.attribution)[None], found.method)
    original = torch.from_numpy(window)[None]
    # On the CPU, even if the network runs on a GPU: it is little work.
    parts = Masking(LogMel(classifier.info.features)).split(original, masks)
    sounds = torch.cat([parts.kept, parts.rest])
    rate = classifier.info.features.sample_rate
    gains = equal_gains(sounds, original.expand_as(sounds), rate)
    waveforms = [*sounds.numpy(), *([window] if known is None else [])]
    answers = classifier.predict(waveforms)
    of_kept, of_rest, *computed = (round(float(one.probabilities[asked]), 6) for one in answers)
    of_all = computed[0] if known is None else known
    archive = map_archive.pack_explanation(found, masks[0].numpy())
    figures = asdict(archive.index) | {
        "method": found.method,
        "original": of_all,
        "kept": of_kept,
        "rest": of_rest,
        "verdict": judge(of_all, of_kept, of_rest).value,
        "kept_gain": round(gains[0].item(), 6),
        "rest_gain": round(gains[1].item(), 6),
        "sample_rate": rate,
    }
    kept, rest = (sounds * gains[:, None]).numpy()
    contents = {
        storage.EXPLANATION: archive.data,
        storage.KEPT: flac(kept, rate),
        storage.REST: flac(rest, rate),
    }
    return InspectionResult(figures, contents)


def channels(classifier: Classifier, window: Array, name: str, answer: str) -> InspectionResult:
    """Show every channel of a feature map.

    The channels of a stage are ordered by their contribution to a class, others by number.

    Parameters
    ----------
    window : (samples,) float32
    name : name of the map
    answer : name of the class
    """
    asked = classifier.info.classes.index(answer)
    found = classifier.channels(window, name, asked)
    contributions, order = found.contributions, np.arange(len(found.values))
    if contributions is not None:
        order = np.argsort(-contributions, kind="stable")
    sheet = png.sheet(list(found.values[order]), SHEET_COLUMNS)
    described = []
    for number, (low, high) in zip(order, sheet.ranges, strict=True):
        facts = {"number": int(number), "low": round(low, 5), "high": round(high, 5)}
        if contributions is not None:
            facts["contribution"] = round(float(contributions[number]), 5)
        described.append(facts)
    figures = {
        "shape": list(found.values.shape),
        "columns": SHEET_COLUMNS,
        "ordered_by": "number" if contributions is None else "contribution",
        "label": answer,
        "channels": described,
    }
    contents = {
        storage.SHEET: sheet.png,
        storage.CHANNELS: _npy(found.values),
        storage.MEAN: _npy(found.values.mean(axis=0)),
    }
    return InspectionResult(figures, contents)


def another_window(classifier: Classifier, window: Array) -> InspectionResult:
    """Return logits and maps of another window, as an analysis has of its shown window.

    Parameters
    ----------
    window : (samples,) float32
    """
    (result,) = classifier.classify([window])
    archive = map_archive.pack(result.activations, result.probabilities, classifier.info.classes)
    return InspectionResult(asdict(archive.index), {storage.MAPS: archive.data})


def tile(
    classifier: Classifier, waveform: Waveform, metadata: RenderMetadata, level: str, number: int
) -> InspectionResult:
    """Draw a tile of the spectrogram, and its waveform.

    Only the samples of the tile are read.

    Parameters
    ----------
    waveform : (samples,) float32
        Of the whole clip.
    metadata : RenderMetadata
        Of the analysis, whose picture has the same colours.
    level, number : as in `ml.tiles.tile`
    """
    features = classifier.info.features
    place = tiles.tile(metadata.frames, level, number)
    parts = classifier.spectrogram_parts(waveform, place.first, place.frames)
    start, end = (
        frame * features.hop_samples for frame in (place.first, place.first + place.frames)
    )
    peaks = spectrogram.peaks(WaveformPart(waveform, start, end), TILE_PEAKS)
    contents = {
        storage.TILE: spectrogram.draw_tile(parts, place, metadata.low_db, metadata.high_db),
        storage.PEAKS: json.dumps(peaks, separators=(",", ":")).encode(),
    }
    return InspectionResult(asdict(place), contents)


def _npy(values: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()
