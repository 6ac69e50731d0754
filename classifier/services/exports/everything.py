"""One ZIP with the events in every format, and where they come from."""

from collections.abc import Iterator

from classifier.services.exports import (
    audacity,
    birdnet,
    dcase,
    event_sounds,
    kaleidoscope,
    parquet,
    plain_csv,
    plain_json,
    provenance,
    raven,
)
from classifier.services.exports.recordings import Recordings
from classifier.services.exports.zip_stream import Member, inside

README = """\
{title}: the events in every format, written by Sonoscope.

events.csv, events.parquet    one row per event, for spreadsheets and scripts
events.json                   the same by recording, also those without events
raven/                        selection tables for Raven: one over all recordings, one for each
audacity/                     a label track for each recording: File > Import > Labels
birdnet.results.csv           the columns of BirdNET-Analyzer
kaleidoscope.csv              results for Kaleidoscope Pro
dcase/                        labels, durations and scores for sed_scores_eval and others
sounds/                       the sound of each event, with a second before and after it; only of
                              recordings whose sounds were requested (docs/exports.md)
ro-crate-metadata.json        where the events come from: checkpoint, software, settings and the
                              SHA-256 of each recording, as RO-Crate 1.1

Times are in seconds from the start of a recording, frequencies in Hz.
"""
TABLES = {
    "events.csv": plain_csv.write,
    "events.json": plain_json.write,
    "birdnet.results.csv": birdnet.write,
    "kaleidoscope.csv": kaleidoscope.write,
}


def members(recordings: Recordings, title: str) -> Iterator[Member]:
    yield Member("README.txt", [README.format(title=title).encode()])
    for name, write in TABLES.items():
        yield Member(name, write(recordings))
    yield Member("events.parquet", parquet.write(recordings), compress=False)
    yield from inside("raven", raven.members(recordings))
    yield from inside("audacity", audacity.members(recordings))
    yield from inside("dcase", dcase.members(recordings))
    yield from inside("sounds", event_sounds.members(recordings))
    tables = [*TABLES, "events.parquet", "raven/", "audacity/", "dcase/"]
    yield Member(provenance.NAME, provenance.write(recordings, title, tables))
