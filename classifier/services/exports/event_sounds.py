"""The sounds of events, which a worker cuts out of the recording as an inspection."""

import zipfile
from collections.abc import Iterator
from itertools import islice
from uuid import UUID

from classifier import storage
from classifier.models import Analysis, Inspection, InspectionKind, State
from classifier.services import inspections
from classifier.services.exports.recordings import Recordings
from classifier.services.exports.zip_stream import Member

RECORDINGS_AT_ONCE = 200
BLOCK_BYTES = 1 << 16


def prepare(analysis: Analysis) -> Inspection | None:
    """Request the sounds of an analysis's events; return the inspection until it is finished.

    A failed one counts as finished: the export has no sounds then.

    Raises
    ------
    RequestRefused
        The analysis was deleted (404).
    """
    made = analysis.inspections.filter(kind=InspectionKind.SOUNDS)
    if not analysis.event_count or made.filter(state=State.FAILED).exists():
        return None
    inspection = inspections.ask(analysis, inspections.Question(InspectionKind.SOUNDS))
    return inspection if inspection.unfinished else None


def members(recordings: Recordings) -> Iterator[Member]:
    """Yield the sounds that have been cut, in a folder for each recording."""
    rows = iter(recordings)
    made = Inspection.objects.filter(kind=InspectionKind.SOUNDS, state=State.DONE)
    while chunk := {one.path: one.analysis for one in islice(rows, RECORDINGS_AT_ONCE)}:
        keys = [UUID(analysis) for analysis in chunk.values()]
        found = {str(one.analysis_id): one for one in made.filter(analysis__in=keys)}
        for path, analysis in chunk.items():
            if analysis in found:
                yield from _of(found[analysis], path)


def _of(inspection: Inspection, path: str) -> Iterator[Member]:
    try:
        file = (inspection.folder / storage.SOUNDS).open("rb")
    except FileNotFoundError:
        return  # it was deleted after its row was read
    with file, zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            with archive.open(name) as sound:
                pieces = iter(lambda: sound.read(BLOCK_BYTES), b"")
                yield Member(f"{path}/{name}", pieces, compress=False)
