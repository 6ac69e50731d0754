"""Cut the sounds of a recording's events out of it."""

import logging
import re
import shutil
from collections.abc import Iterable
from tempfile import TemporaryFile
from typing import IO
from zipfile import ZipFile

from classifier import storage
from classifier.models import Event, Inspection
from classifier.services import results
from ml.audio.encode import write_flac
from ml.audio.waveform import Waveform, WaveformPart
from ml.errors import AudioError
from tasks.decoding import decode

logger = logging.getLogger(__name__)

# Before and after each event.
MARGIN_S = 1.0
# Of a recording with more events, only the most confident are cut.
MAX_SOUNDS = 1_000
# A faster recording is resampled, so that a long one fits on the disk.
MAX_RATE_HZ = 48_000


def save(inspection: Inspection) -> None:
    """Make a claimed inspection of the kind `sounds`; an unreadable clip fails it."""
    clip = inspection.analysis.clip
    rate = min(clip.source_rate_hz or MAX_RATE_HZ, MAX_RATE_HZ)
    try:
        waveform = decode(clip, rate).waveform
    except AudioError as error:
        inspection.held().fail(error.problem)
        return
    events = _chosen(inspection)
    figures = {"sounds": len(events), "margin_s": MARGIN_S, "sample_rate": rate}
    with TemporaryFile(dir=storage.incoming_folder()) as file:
        write(file, waveform, rate, events)
        file.seek(0)
        if not results.save(inspection, {storage.SOUNDS: file}, {"figures": figures}):
            logger.warning("the lease of %s was lost; its result is discarded", inspection.pk)


def _chosen(inspection: Inspection) -> list[Event]:
    best = inspection.analysis.events.order_by("-confidence", "start_s", "id")[:MAX_SOUNDS]
    return sorted(best, key=lambda event: (event.start_s, event.pk))


def write(file: IO[bytes], waveform: Waveform, rate: int, events: Iterable[Event]) -> None:
    """Write a ZIP with one FLAC file for each event, of which only that part is read.

    Parameters
    ----------
    waveform : (samples,) float32
    rate : int
        Of the waveform, in Hz.
    """
    with ZipFile(file, "w") as archive:
        for number, event in enumerate(events, start=1):
            start = max(0, round((event.start_s - MARGIN_S) * rate))
            end = round((event.end_s + MARGIN_S) * rate)
            # Rain can be one event of a day, so neither its samples nor its file is in memory.
            with TemporaryFile(dir=storage.incoming_folder()) as sound:
                write_flac(sound, WaveformPart(waveform, start, end), rate)
                sound.seek(0)
                with archive.open(name_of(number, event), "w", force_zip64=True) as member:
                    shutil.copyfileobj(sound, member)


def name_of(number: int, event: Event) -> str:
    """Return the name of an event's file: its number, start and end in seconds, and label."""
    label = re.sub(r"[^\w-]+", "_", event.label)
    return f"{number:04}_{event.start_s:.3f}-{event.end_s:.3f}_{label}.flac"
