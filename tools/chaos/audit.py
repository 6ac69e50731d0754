"""Compare the accepted clips with the rows, results and files on the server."""

import hashlib
import json
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tools.chaos.client import Accepted, Client
from tools.chaos.observer import Observer, Row

UNFINISHED = ("queued", "running")
# The sweep ignores files younger than an hour, so all files are made two hours old.
SWEEP_ALL = """
import os, time
from classifier import storage
from classifier.services import deletion
for path in sorted(storage.root().rglob("*")):
    os.utime(path, (time.time() - 7200,) * 2)
print(sum(deletion.remove_orphans(f"{shard:02x}") for shard in range(256)))
"""


@dataclass(frozen=True, slots=True)
class Audit:
    """The result of a comparison.

    Attributes
    ----------
    lost : accepted clips without a row, without the bytes that were sent, or that never ended
    doubled : analyses that ended more than once, and clips with more than one result
    failed : healthy clips that failed
    orphans : files without a row after the sweep, and rows without all their files
    swept : number of files that the sweep removed
    reasons : why analyses failed, with counts
    """

    accepted: int
    done: int
    lost: int
    doubled: int
    failed: int
    orphans: int
    swept: int
    reasons: dict[str, int]
    examples: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.failed or self.orphans)


def audit(client: Client, observer: Observer) -> Audit:
    """Compare what the client sent with what the server has, once all analyses have ended."""
    swept = observer.server.manage("shell", "--no-imports", "-c", SWEEP_ALL).split()[-1]
    rows = {row.analysis: row for row in observer.rows()}
    clips, media = observer.clips(), observer.server.data / "media"
    kept = [one for one in client.accepted.values() if one.clip not in client.deleted]

    lost = [str(one.analysis) for one in kept if not _ended(one, rows.get(one.analysis))]
    lost += [f"the bytes of {one.clip}" for one in kept if not _stored(one, clips, media)]
    # Clips that were stored although their response never arrived must end as well.
    mine = {one.analysis for one in kept}
    lost += [str(pk) for pk, row in rows.items() if row.state in UNFINISHED and pk not in mine]
    doubled = [f"{pk}, {times} ends" for pk, times in observer.ends().items() if times > 1]
    runs = Counter(row.clip for row in rows.values() if row.state == "done")
    doubled += [f"{clip}, {times} results" for clip, times in runs.items() if times > 1]
    ill = {one.analysis for one in kept if not one.healthy}
    failures = [row for row in rows.values() if row.state == "failed"]
    failed = [f"{row.analysis}, {row.error_code}" for row in failures if row.analysis not in ill]
    orphans = _unknown(
        media, set(clips.values()), {f"{r.analysis}-{r.token}" for r in rows.values()}
    )
    orphans += [f"{pk} lacks files" for pk, row in rows.items() if not _whole(row, media)]
    orphans += [
        f"{row.analysis} of a deleted clip" for row in rows.values() if row.clip in client.deleted
    ]
    found = {"lost": lost, "doubled": doubled, "failed": failed, "orphan": orphans}
    return Audit(
        accepted=len(client.accepted),
        done=sum(row.state == "done" for row in rows.values()),
        lost=len(lost),
        doubled=len(doubled),
        failed=len(failed),
        orphans=len(orphans),
        swept=int(swept),
        reasons=dict(Counter(f"{row.error_code}: {row.error_detail}" for row in failures)),
        examples=tuple(f"{what}: {one}" for what, ones in found.items() for one in ones[:3]),
    )


def _ended(one: Accepted, row: Row | None) -> bool:
    return row is not None and row.state in ("done", "failed")


def _stored(one: Accepted, clips: dict, media: Path) -> bool:
    """Return whether the stored bytes are those sent; a crashing clip's file was replaced."""
    key = clips.get(one.clip, "")
    path = media / "clips" / key[:2] / key
    return not one.healthy or (
        path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == one.sha256
    )


def _unknown(media: Path, keys: set[str], folders: set[str]) -> list[str]:
    found = [path for path in media.glob("clips/*/*") if path.name not in keys]
    found += [path for path in media.glob("analyses/*/*") if path.name not in folders]
    return [str(path) for path in [*found, *media.glob("incoming/*")]]


def _whole(row: Row, media: Path) -> bool:
    """Return whether a finished analysis has all its files, complete."""
    if row.state != "done":
        return True
    folder = media / "analyses" / str(row.analysis)[:2] / f"{row.analysis}-{row.token}"
    try:
        json.loads((folder / "peaks.json").read_text())
        with zipfile.ZipFile(folder / "maps.zip") as maps:
            whole = maps.testzip() is None
        pictures = [(folder / name).read_bytes() for name in ("spectrogram.png", "strip.png")]
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    return whole and all(picture.endswith(b"IEND\xaeB`\x82") for picture in pictures)
