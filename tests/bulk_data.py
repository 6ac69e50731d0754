"""Create many rows quickly, as in a database after years of use. The rows have no files."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Count
from django.utils import timezone

from classifier.models import (
    Analysis,
    Batch,
    BatchFile,
    Clip,
    FileOutcome,
    Inspection,
    InspectionKind,
    Judgement,
    Lane,
    State,
    Tag,
    tag_words,
)
from classifier.models.history import DEFAULT_SORT, SORTS
from ml.render_metadata import ArchiveIndex, PooledInfo, RenderMetadata

CHUNK_ROWS = 5_000
LABELS = ("dog", "rain", "crickets", "church_bells", "siren", "wind", "clock_tick", "sea_waves")
PREDICTIONS = [{"class": f"class {n}", "confidence": 1 / 50} for n in range(50)]
METADATA = RenderMetadata(
    low_db=-80.0,
    high_db=0.0,
    frames=313,
    shown_columns=313,
    ticks=(),
    band_centres_hz=tuple(range(128)),
    window_s=5.0,
    shown_window=0,
    window_predictions=(),
    index=ArchiveIndex((), PooledInfo((16, 32), 0.0, 1.0), ()),
)
INTERVAL = timedelta(seconds=90)
ANALYSES = "/admin/classifier/analysis/"
INSPECTIONS = "/admin/classifier/inspection/"


def create_bulk_data(owner: User, others: Sequence[User], rows: int, batch_files: int) -> None:
    """Create `rows` analyses, each of its own clip, in batches of `batch_files`.

    Half of them belong to the owner, the rest to the others. There is one every 90 s until now;
    the older half ran with an older checkpoint. 2 % failed, and a few were refused or are still
    waiting. One in ten of the finished analyses has an inspection, and one in fifty was judged.
    """
    rng = random.Random(rows)
    start = timezone.now() - rows * INTERVAL
    batches: dict[int, tuple[Batch, int]] = {}
    for first in range(0, rows, CHUNK_ROWS):
        analyses = []
        for number in range(first, min(first + CHUNK_ROWS, rows)):
            person = others[number // 2 % len(others)] if number % 2 else owner
            checkpoint = "older@0123456789ab" if 2 * number < rows else "newer@0123456789ab"
            created_at = start + number * INTERVAL
            analyses.append(_analysis(number, person, created_at, checkpoint, rng))
        Clip.objects.bulk_create([analysis.clip for analysis in analyses])
        Analysis.objects.bulk_create(analyses)
        Inspection.objects.bulk_create(_inspections(analyses, rng))
        Judgement.objects.bulk_create(
            Judgement(
                clip=one.clip,
                label=one.label if rng.random() < 0.7 else "dog",
                checkpoint=one.checkpoint,
            )
            for one in analyses
            if one.state == State.DONE and rng.random() < 0.02
        )
        _add_tags(analyses)
        _add_to_batches(analyses, batches, batch_files)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # autovacuum does not see rows of an open transaction


def _add_tags(analyses: Sequence[Analysis]) -> None:
    """Add the tag `garden` to every third clip."""
    tagged = analyses[::3]
    for owner in {analysis.owner for analysis in tagged}:
        tag, _ = Tag.objects.get_or_create(owner=owner, name="garden")
        clips = [analysis.clip_id for analysis in tagged if analysis.owner_id == owner.pk]
        ClipTag = Clip.tags.through
        ClipTag.objects.bulk_create(ClipTag(clip_id=pk, tag_id=tag.pk) for pk in clips)
        Analysis.objects.filter(clip__in=clips).update(clip_tags=tag_words([tag.pk]))


def _analysis(
    number: int, owner: User, created_at: datetime, checkpoint: str, rng: random.Random
) -> Analysis:
    clip = Clip(
        owner=owner,
        name=f"recording-{number}.wav",
        file_key=f"{number:032x}",
        size_bytes=441_044,
        sha256=f"{rng.getrandbits(256):064x}",
        created_at=created_at,
        format="WAV",
        duration_s=2.0 + number % 9,
        folder=f"site {number % 7}/night",
        notices=["silent"] if number % 20 == 0 else [],
    )
    state = rng.choices((State.DONE, State.FAILED, State.QUEUED), (970, 20, 10))[0]
    analysed = state == State.DONE
    return Analysis.of(
        clip,
        lane=Lane.BULK if rng.random() < 0.95 else Lane.INTERACTIVE,
        created_at=created_at,
        started_at=created_at,
        finished_at=created_at + timedelta(seconds=2),
        state=state,
        token=f"{number:032x}",
        label=rng.choice(LABELS) if analysed else "",
        confidence=rng.random() if analysed else None,
        error_code="damaged" if state == State.FAILED else "",
        error_detail="The file stops after 0.4 s." if state == State.FAILED else "",
        predictions=PREDICTIONS if analysed else [],
        render_metadata=METADATA.to_json() if analysed else {},
        checkpoint=checkpoint,
    )


def _inspections(analyses: Sequence[Analysis], rng: random.Random) -> list[Inspection]:
    return [
        Inspection(
            analysis=analysis,
            kind=rng.choice(InspectionKind.values),
            window=0,
            label=analysis.label,
            state=rng.choices((State.DONE, State.FAILED, State.QUEUED), (97, 2, 1))[0],
            created_at=analysis.created_at,
        )
        for analysis in analyses
        if analysis.state == State.DONE and rng.random() < 0.1
    ]


def _add_to_batches(
    analyses: Sequence[Analysis],
    batches: dict[int, tuple[Batch, int]],
    batch_files: int,
) -> None:
    """Add each analysis to a batch, and refuse the file of one in a hundred.

    `batches` maps an owner's id to the owner's latest batch and the number of files in it.
    """
    files = []
    for analysis in analyses:
        batch, held = batches.get(analysis.owner_id, (None, 0))
        if batch is None or held == batch_files:
            batch, held = (
                Batch(owner=analysis.owner, name="field trip", created_at=analysis.created_at),
                0,
            )
            batch.save()
        batches[analysis.owner_id] = batch, held + 1
        refused = held % 100 == 20
        folder = f"site {held % 40}/{analysis.created_at:%Y-%m}"
        files.append(
            BatchFile(
                batch=batch,
                path=f"{folder}/{analysis.clip.name}",
                folder=folder,
                outcome=FileOutcome.REFUSED if refused else FileOutcome.ACCEPTED,
                analysis=None if refused else analysis,
                detail="The file is empty." if refused else "",
            )
        )
    BatchFile.objects.bulk_create(files)


def pages(owner: User, other: User) -> dict[str, str]:
    """Return the paths of pages by name, for `owner`, an administrator who owns half of the rows.

    `other` is another user.
    """
    analysed = Analysis.objects.filter(owner=owner, state=State.DONE).latest("created_at")
    clip = Clip.objects.latest("created_at")
    batch = Batch.objects.filter(owner=owner).alias(held=Count("files")).latest("held").pk
    day = "created_at__year={0.year}&created_at__month={0.month}&created_at__day={0.day}"
    day = day.format(analysed.created_at)
    return {
        "history": "/history/",
        "history, page 2": "/history/?page=2",
        "history by label": "/history/?label=dog",
        "history by state": "/history/?state=failed",
        "history by name": "/history/?name=recording-198",
        "history, right answers": "/history/?judged=right",
        "history, wrong answers": "/history/?judged=wrong",
        "history, not checked": "/history/?judged=not_judged",
        "history by label, wrong": "/history/?label=dog&judged=wrong",
        "checked answers": "/checked/",
        "history by name that nothing has": "/history/?name=nothing-like-it",
        "history by confidence": "/history/?min_confidence=90",
        "history by label and confidence": "/history/?label=dog&min_confidence=80",
        "history by label and day": f"/history/?label=dog&since={analysed.created_at:%Y-%m-%d}",
        "history by batch": f"/history/?batch={batch}",
        "history by folder": "/history/?folder=site+3",
        "history by length": "/history/?min_length=9",
        "history by checkpoint": "/history/?checkpoint=older@0123456789ab",
        "history by notice": "/history/?notice=silent",
        "history by tag": "/history/?tag=garden",
        **{f"history, {name}": f"/history/?sort={name}" for name in SORTS if name != DEFAULT_SORT},
        "result": f"/analyses/{analysed.pk}/",
        "models": "/models/",
        "batches": "/batches/",
        "batch": f"/batches/{batch}/",
        "batch, failed files": f"/batches/{batch}/?show=failed",
        "batch, a folder": f"/batches/{batch}/?folder=site%207",
        "API, analyses": "/api/v1/analyses/?limit=200",
        "API, analyses by label": "/api/v1/analyses/?label=dog",
        "API, wrong answers": "/api/v1/analyses/?judged=wrong",
        "API, clips": "/api/v1/clips/?limit=200",
        "API, checkpoints": "/api/v1/checkpoints/",
        "API, tokens": "/api/v1/tokens/",
        "API, batches": "/api/v1/batches/",
        "API, one batch": f"/api/v1/batches/{batch}/",
        "API, folders of a batch": f"/api/v1/batches/{batch}/folders/",
        "admin, first page": "/admin/",
        "admin, analyses": ANALYSES,
        "admin, analyses by confidence": f"{ANALYSES}?o=3",
        "admin, analyses of a label": f"{ANALYSES}?label=dog",
        "admin, analyses of an old checkpoint": f"{ANALYSES}?checkpoint=older@0123456789ab",
        "admin, failed analyses": f"{ANALYSES}?state__exact=failed",
        "admin, done analyses": f"{ANALYSES}?state__exact=done",
        "admin, failures of a kind": f"{ANALYSES}?error_code=damaged",
        "admin, waiting in a lane": f"{ANALYSES}?waiting=1",
        "admin, analyses of a day": f"{ANALYSES}?{day}",
        "admin, analyses of a label and day": f"{ANALYSES}?{day}&label=dog",
        "admin, analyses of a user": f"{ANALYSES}?owner={other.pk}",
        "admin, search by name": f"{ANALYSES}?q=recording-198",
        "admin, search that finds nothing": f"{ANALYSES}?q=nothing-like-it",
        "admin, search by hash": f"{ANALYSES}?q={clip.sha256[:12]}",
        "admin, search by user": f"{ANALYSES}?q={other.username}",
        "admin, search by the heaviest user": f"{ANALYSES}?q={owner.username}",
        "admin, one analysis": f"{ANALYSES}{analysed.pk}/change/",
        "admin, clips": "/admin/classifier/clip/",
        "admin, clips by name": "/admin/classifier/clip/?q=recording-198",
        "admin, one clip": f"/admin/classifier/clip/{clip.pk}/change/",
        "admin, batches": "/admin/classifier/batch/",
        "admin, one batch": f"/admin/classifier/batch/{batch}/change/",
        "admin, deleting a batch": f"/admin/classifier/batch/{batch}/delete/",
        "admin, batch files": "/admin/classifier/batchfile/",
        "admin, refused batch files": "/admin/classifier/batchfile/?outcome__exact=refused",
        "admin, files of a batch": f"/admin/classifier/batchfile/?batch={batch}",
        "admin, inspections": INSPECTIONS,
        "admin, inspections of a kind": f"{INSPECTIONS}?kind__exact=explanation",
        "admin, failed inspections": f"{INSPECTIONS}?state__exact=failed",
        "admin, inspections of a day": f"{INSPECTIONS}?{day}",
        "admin, users": "/admin/auth/user/",
        "admin, one user": f"/admin/auth/user/{other.pk}/change/",
        "admin, the heaviest user": f"/admin/auth/user/{owner.pk}/change/",
        "admin, deleting the heaviest user": f"/admin/auth/user/{owner.pk}/delete/",
    }
