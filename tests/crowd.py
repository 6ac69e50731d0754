"""Many rows, quickly: what a house looks like after years. No files lie behind them."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from classifier.models import Analysis, Batch, BatchFile, Clip, FileOutcome, Lane, State

CHUNK_ROWS = 5_000
LABELS = ("dog", "rain", "crickets", "church_bells", "siren", "wind", "clock_tick", "sea_waves")
PREDICTIONS = [{"class": f"class {n}", "confidence": 1 / 50} for n in range(50)]
SCOPE = {"ticks": [], "shown_from_s": 0.0, "window_s": 5.0}
EVERY = timedelta(seconds=90)


def settle_in(owner: User, others: Sequence[User], rows: int, batch_files: int) -> None:
    """`rows` analyses, each of a clip of its own, in batches of `batch_files`.

    Half of them are the owner's, the rest are shared out; one every 90 s until now, the older
    half by an older checkpoint; 2 % failed, a few refused or still waiting.
    """
    dice = random.Random(rows)
    start = timezone.now() - rows * EVERY
    batches: dict[int, tuple[Batch, int]] = {}
    for first in range(0, rows, CHUNK_ROWS):
        analyses = []
        for number in range(first, min(first + CHUNK_ROWS, rows)):
            person = others[number // 2 % len(others)] if number % 2 else owner
            checkpoint = "older@0123456789ab" if 2 * number < rows else "newer@0123456789ab"
            created_at = start + number * EVERY
            analyses.append(_analysis(number, person, created_at, checkpoint, dice))
        Clip.objects.bulk_create([analysis.clip for analysis in analyses])
        Analysis.objects.bulk_create(analyses)
        _enter(analyses, batches, batch_files, dice)


def _analysis(
    number: int, owner: User, created_at: datetime, checkpoint: str, dice: random.Random
) -> Analysis:
    clip = Clip(
        owner=owner,
        name=f"recording-{number}.wav",
        file_key=f"{number:032x}",
        size_bytes=441_044,
        sha256=f"{dice.getrandbits(256):064x}",
        created_at=created_at,
        format="WAV",
        duration_s=5.0,
    )
    state = dice.choices((State.DONE, State.FAILED, State.QUEUED), (970, 20, 10))[0]
    heard = state == State.DONE
    return Analysis(
        clip=clip,
        owner=owner,
        lane=Lane.BULK if dice.random() < 0.95 else Lane.INTERACTIVE,
        created_at=created_at,
        started_at=created_at,
        finished_at=created_at + timedelta(seconds=2),
        state=state,
        token=f"{number:032x}",
        label=dice.choice(LABELS) if heard else "",
        confidence=dice.random() if heard else None,
        error_code="damaged" if state == State.FAILED else "",
        error_detail="The file stops after 0.4 s." if state == State.FAILED else "",
        predictions=PREDICTIONS if heard else [],
        scope=SCOPE if heard else {},
        checkpoint=checkpoint,
    )


def _enter(
    analyses: Sequence[Analysis],
    batches: dict[int, tuple[Batch, int]],
    batch_files: int,
    dice: random.Random,
) -> None:
    """Each analysis as a file of a batch; `batches` is each owner's latest, and what is in it."""
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
        refused = dice.random() < 0.01
        files.append(
            BatchFile(
                batch=batch,
                path=analysis.clip.name,
                outcome=FileOutcome.REFUSED if refused else FileOutcome.ACCEPTED,
                analysis=None if refused else analysis,
                detail="The file is empty." if refused else "",
            )
        )
    BatchFile.objects.bulk_create(files)
