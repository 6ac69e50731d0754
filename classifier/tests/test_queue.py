"""The queue: claims, leases, and updates guarded by the token."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from classifier import storage
from classifier.models import MAX_ATTEMPTS, Analysis, Lane, State
from classifier.services.results import AnalysisResult, save_analyses
from classifier.tests.conftest import queued
from ml.errors import Problem

FACTS = {"format": "WAV", "duration_s": 5.0, "source_rate_hz": 44_100, "channels": 1}


def claim(limit: int = 16, max_bytes: int = 10**9) -> list[Analysis]:
    return Analysis.objects.claim(limit, max_bytes)


def save(row: Analysis) -> bool:
    predictions = [{"class": "dog", "confidence": 0.9}, {"class": "cat", "confidence": 0.1}]
    values = {"checkpoint": "tiny@abc", "predictions": predictions}
    return not save_analyses([AnalysisResult(row, {"strip.png": b"png"}, values, FACTS)])


def test_single_clips_go_before_bulk_and_never_share_a_chunk_with_it(anna: User) -> None:
    bulk = [queued(anna, Lane.BULK) for _ in range(3)]
    single = queued(anna)
    assert [row.pk for row in claim()] == [single.pk]
    assert [row.pk for row in claim()] == [row.pk for row in bulk]


def test_a_chunk_is_oldest_first_and_bounded_in_rows_and_bytes(anna: User) -> None:
    rows = [queued(anna, size_bytes=400) for _ in range(5)]
    assert [row.pk for row in claim(limit=2)] == [row.pk for row in rows[:2]]
    assert [row.pk for row in claim(max_bytes=900)] == [row.pk for row in rows[2:4]]
    huge = claim(max_bytes=1)
    assert [row.pk for row in huge] == [rows[4].pk]


def test_a_chunk_contains_one_checkpoint(anna: User) -> None:
    rows = [queued(anna, checkpoint=name) for name in ("", "b@2", "", "c@3", "b@2")]
    assert [[row.pk for row in claim()] for _ in range(4)] == [
        [rows[0].pk, rows[2].pk],
        [rows[1].pk, rows[4].pk],
        [rows[3].pk],
        [],
    ]


def test_a_row_is_claimed_once(anna: User) -> None:
    queued(anna)
    assert len(claim()) == 1
    assert claim() == []


def test_an_interrupted_row_is_retried_alone(anna: User) -> None:
    rows = [queued(anna) for _ in range(3)]
    Analysis.objects.held(claim(limit=2)[0].token).requeue_or_fail()
    assert [[row.pk for row in claim()] for _ in rows] == [[row.pk] for row in rows]


def test_a_row_interrupted_alone_waits_for_the_others_of_its_lane(anna: User) -> None:
    bulk, unlucky = queued(anna, Lane.BULK), queued(anna)
    (row,) = claim()
    Analysis.objects.held(row.token).requeue_or_fail()
    later = [queued(anna) for _ in range(2)]
    assert [[row.pk for row in claim()] for _ in range(3)] == [
        [row.pk for row in later],
        [unlucky.pk],
        [bulk.pk],
    ]


def test_a_row_interrupted_three_times_fails_with_a_reason(anna: User) -> None:
    row = queued(anna)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        (mine,) = claim()
        assert mine.attempts == attempt
        Analysis.objects.held(mine.token).requeue_or_fail()
    row.refresh_from_db()
    assert row.state == State.FAILED
    assert row.error is not None
    assert row.error.code == "crashed"
    assert row.error.hint
    assert row.finished_at is not None


def test_an_interruption_in_a_chunk_does_not_count_as_an_attempt(anna: User) -> None:
    rows = [queued(anna) for _ in range(2)]
    Analysis.objects.held(claim()[0].token).requeue_or_fail()
    rows[1].delete()
    for _ in range(MAX_ATTEMPTS - 1):
        (mine,) = claim(limit=1)
        Analysis.objects.held(mine.token).requeue_or_fail()
    rows[0].refresh_from_db()
    assert rows[0].state == State.QUEUED
    (mine,) = claim(limit=1)
    assert save(mine)


def test_requeue_uncounted_does_not_count_as_an_attempt(anna: User) -> None:
    row = queued(anna)
    for _ in range(MAX_ATTEMPTS + 1):
        chunk = claim()
        assert (chunk[0].attempts, chunk[0].alone) == (1, False)
        Analysis.objects.held(chunk[0].token).requeue_uncounted(chunk)
    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.QUEUED, 0)


def test_only_a_lease_that_ran_out_expires(anna: User) -> None:
    row = queued(anna)
    claim()
    assert not Analysis.objects.expired()
    Analysis.objects.filter(pk=row.pk).update(leased_until=timezone.now() - timedelta(seconds=1))
    assert Analysis.objects.expired().requeue_or_fail() == 1
    row.refresh_from_db()
    assert row.state == State.QUEUED


def test_a_lease_from_before_the_clock_was_set_back_expires(anna: User) -> None:
    row = queued(anna)
    claim()
    Analysis.objects.filter(pk=row.pk).update(leased_until=timezone.now() + timedelta(hours=1))
    assert Analysis.objects.expired().requeue_or_fail() == 1


def test_a_result_is_saved_once_and_a_late_worker_changes_nothing(anna: User) -> None:
    queued(anna)
    (late,) = claim()
    Analysis.objects.held(late.token).requeue_or_fail()
    (winner,) = claim()

    assert save(winner)
    assert not save(late)
    assert not late.held().fail(Problem("x", "x", "x"))

    row = Analysis.objects.get()
    assert (row.state, row.label) == (State.DONE, "dog")
    assert storage.analysis_folder(row.pk, winner.token).is_dir()
    assert not storage.analysis_folder(row.pk, late.token).exists()


def test_a_clip_deleted_meanwhile_leaves_no_files(anna: User) -> None:
    queued(anna)
    (row,) = claim()
    row.clip.delete()
    assert not save(row)
    assert not storage.analysis_folder(row.pk, row.token).exists()


def test_progress_follows_the_steps(anna: User) -> None:
    row = queued(anna)
    assert row.progress == 0
    seen = []
    for step in ("decoding", "classifying", "rendering", "saving"):
        row.state, row.step = State.RUNNING, step
        seen.append(row.progress)
    row.state, row.step = State.DONE, ""
    assert seen == [0, 0.25, 0.5, 0.75]
    assert row.progress == 1
