"""The formats in which events can be exported."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from classifier.services.exports import (
    audacity,
    birdnet,
    dcase,
    everything,
    kaleidoscope,
    parquet,
    plain_csv,
    plain_json,
    raven,
)
from classifier.services.exports.recordings import Recordings
from classifier.services.exports.zip_stream import zip_of


class Format(StrEnum):
    """The value of `?format=`."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"
    RAVEN = "raven"
    AUDACITY = "audacity"
    BIRDNET = "birdnet"
    KALEIDOSCOPE = "kaleidoscope"
    DCASE = "dcase"
    ZIP = "zip"


# What a person calls them.
NAMES = {
    Format.CSV: "CSV",
    Format.PARQUET: "Parquet",
    Format.JSON: "JSON",
    Format.RAVEN: "Raven selection tables",
    Format.AUDACITY: "Audacity labels",
    Format.BIRDNET: "BirdNET CSV",
    Format.KALEIDOSCOPE: "Kaleidoscope CSV",
    Format.DCASE: "DCASE tables",
    Format.ZIP: "All of them (ZIP)",
}


@dataclass(frozen=True, slots=True)
class File:
    """How the events of some recordings are written to one file.

    Attributes
    ----------
    suffix : str
        End of the file's name.
    """

    content_type: str
    suffix: str
    write: Callable[[Recordings], Iterator[bytes]]


CSV, TEXT, ZIP = "text/csv; charset=utf-8", "text/plain; charset=utf-8", "application/zip"
TABLES = {
    Format.CSV: File(CSV, ".events.csv", plain_csv.write),
    Format.PARQUET: File("application/vnd.apache.parquet", ".events.parquet", parquet.write),
    Format.JSON: File("application/json", ".events.json", plain_json.write),
    Format.BIRDNET: File(CSV, ".results.csv", birdnet.write),
    Format.KALEIDOSCOPE: File(CSV, ".kaleidoscope.csv", kaleidoscope.write),
}
# Formats whose tables are of one recording each.
OF_ONE = {
    Format.RAVEN: File(TEXT, raven.SUFFIX, raven.write),
    Format.AUDACITY: File(TEXT, audacity.SUFFIX, audacity.write),
}
OF_SEVERAL = {
    Format.RAVEN: File(ZIP, ".raven.zip", lambda found: zip_of(raven.members(found))),
    Format.AUDACITY: File(ZIP, ".audacity.zip", lambda found: zip_of(audacity.members(found))),
}


def file_of(form: Format, title: str, *, several: bool) -> File:
    """Return how to write a format.

    Parameters
    ----------
    title : str
        What is exported, for the texts in the ZIP.
    several : bool
        Whether the export is of a folder or of the history, even if that has one recording.
    """
    if form == Format.DCASE:
        return File(ZIP, ".dcase.zip", lambda found: zip_of(dcase.members(found)))
    if form == Format.ZIP:
        whole = partial(everything.members, title=title)
        return File(ZIP, ".events.zip", lambda found: zip_of(whole(found)))
    return (TABLES | (OF_SEVERAL if several else OF_ONE))[form]
