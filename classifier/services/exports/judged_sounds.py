"""The sounds that a user judged, as a data set that `python -m training.prepare` reads.

The files are as they were uploaded: the web process decodes no sound. The table names the part of
each judged event, and `training.prepare` cuts it out.
"""

from collections.abc import Iterator

from classifier import storage
from classifier.models import Clip, Judgement, Owner
from classifier.services.exports.cells import decimal, table
from classifier.services.exports.recordings import by_key
from classifier.services.exports.zip_stream import Member, stored

ROWS_AT_ONCE = 500
AUDIO, TABLE = "audio", "meta/sounds.csv"
COLUMNS = ("filename", "category", "source", "start_s", "end_s", "name")
README = """\
The sounds of {name} whose class was checked, exported by Sonoscope.

meta/sounds.csv   one row for each checked sound: its file, its class (category), the recording that
                  it is from (source), and for a part of a recording its start and end in seconds
audio/            the files, as they were uploaded

To train on them: python -m training.prepare FILE.zip --out FOLDER
It cuts the parts out, checks all sounds and assigns them to folds; those of one recording share a
fold. Sounds that are none of the checkpoint's classes are left out.
"""


def members(user: Owner) -> Iterator[Member]:
    yield Member("README.txt", [README.format(name=user.get_username()).encode()])
    yield Member(TABLE, table(COLUMNS, map(_cells, _judgements(user)), delimiter=","))
    seen = set()
    for judgement in _judgements(user):
        clip = _clip(judgement)
        if clip.pk not in seen:
            seen.add(clip.pk)
            yield from stored(f"{AUDIO}/{_name(clip)}", storage.clip_path(clip.file_key))


def exist(user: Owner) -> bool:
    """Whether there is a sound to export."""
    return next(_judgements(user), None) is not None


def _judgements(user: Owner) -> Iterator[Judgement]:
    """Yield the judgements with a class: those of clips, then those of events."""
    rows = Judgement.objects.exclude(label="")
    for mine in (
        rows.filter(clip__owner=user.pk).select_related("clip"),
        rows.filter(event__analysis__owner=user.pk).select_related("event__analysis__clip"),
    ):
        for page in by_key(mine, ("pk",), ROWS_AT_ONCE):
            yield from page


def _cells(judgement: Judgement) -> tuple[str, ...]:
    clip, event = _clip(judgement), judgement.event
    span = (decimal(event.start_s), decimal(event.end_s)) if event else ("", "")
    # Identical uploads are one source, so that they share a fold.
    return _name(clip), judgement.label, clip.sha256[:16], *span, clip.name


def _clip(judgement: Judgement) -> Clip:
    if judgement.event:
        return judgement.event.analysis.clip
    assert judgement.clip
    return judgement.clip


def _name(clip: Clip) -> str:
    return f"{clip.pk}.{clip.format.lower() or 'bin'}"
