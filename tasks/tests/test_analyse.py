"""Tests of the analysis of a chunk: its parts, failures, lost leases, queries and files."""

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from classifier import storage
from classifier.models import Analysis, Batch, BatchFile, Clip, FileOutcome, Lane, State, Step
from classifier.services import batches, recordings, uploads
from classifier.templatetags.sound import predicted
from ml.audio.decode import Sound
from ml.audio.waveform import SamplesOnDisk, Waveform
from ml.checkpoint_info import SHIPPED
from ml.inference import Classifier
from ml.predictions import Result
from tasks import analyse as task
from tests import fixtures

# The budget of an analysis of a five-second clip.
MAX_FILES, MAX_BYTES = 4, 150_000


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(SHIPPED)


@pytest.fixture(autouse=True)
def own_media(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classifier: Classifier
) -> None:
    settings.MEDIA_ROOT = tmp_path
    monkeypatch.setattr(task, "load_classifier", lambda checkpoint: classifier)
    monkeypatch.setattr(task, "PART_CLIPS", 3)


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Return the analyses for which a worker is woken; no message is sent."""
    found: list[UUID] = []
    monkeypatch.setattr(task, "dispatch_analysis", lambda key, lane: found.append(key))
    return found


@pytest.fixture
def anna(db: None) -> User:
    return User.objects.create_user("anna")


def submit(owner: User, clips: int, lane: Lane = Lane.BULK) -> list[Analysis]:
    sounds = [fixtures.noise(1.0, 32_000, seed=seed) for seed in range(clips)]
    return [
        uploads.accept([fixtures.encode(one, 32_000, "WAV")], name="x", owner=owner, lane=lane)
        for one in sounds
    ]


def states(rows: Sequence[Analysis]) -> list[str]:
    found = dict(Analysis.objects.values_list("pk", "state"))
    return [found[row.pk] for row in rows]


def during(
    monkeypatch: pytest.MonkeyPatch, classifier: Classifier, act: Callable[[int], object]
) -> None:
    """Call `act` with the number of the part before each part is classified."""
    numbers = iter(range(100))

    def classify(waveforms: Sequence[Waveform]) -> list[Result]:
        act(next(numbers))
        return Classifier.classify(classifier, waveforms)

    monkeypatch.setattr(classifier, "classify", classify)


def test_a_chunk_of_several_parts_is_analysed(anna: User) -> None:
    rows = submit(anna, 7)
    task.analyse("")
    assert states(rows) == [State.DONE] * 7
    for row in Analysis.objects.all():
        assert row.step == Step.NONE
        assert not row.long
        files = [path.stat().st_size for path in row.folder.iterdir()]
        assert len(files) <= MAX_FILES
        assert sum(files) <= MAX_BYTES
        assert set(row.timings) == {"decoding_s", "classifying_s", "rendering_s", "chunk_clips"}


def test_what_is_found_in_a_file_is_copied_to_all_analyses_of_its_clip(anna: User) -> None:
    first, other = submit(anna, 2)
    failed = Analysis.of(first.clip, state=State.FAILED)
    failed.save()
    task.analyse("")
    lengths = dict(Analysis.objects.values_list("pk", "clip_duration_s"))
    assert lengths == {first.pk: 1.0, failed.pk: 1.0, other.pk: 1.0}


def test_a_silent_clip_is_no_class_and_has_no_events(anna: User) -> None:
    # The noise of a quiet recorder, in which the network finds snoring.
    quiet = fixtures.noise(6.0, level=1.5e-5)
    uploads.accept([fixtures.encode(quiet, subtype="FLOAT")], name="x", owner=anna, lane=Lane.BULK)
    task.analyse("")
    row = Analysis.objects.get()
    assert row.clip.silent
    assert row.not_sure
    assert row.long
    assert (row.event_count, row.events.count()) == (0, 0)
    assert predicted(row) == "Silence"


def test_the_start_of_a_recording_comes_from_metadata_then_the_name_unless_the_user_set_it(
    anna: User, settings: Settings
) -> None:
    settings.RECORDING_NAME_PATTERN = "%d-%m-%Y %H.%M"
    wav = fixtures.encode(fixtures.noise(0.5, 32_000), 32_000, "WAV")
    guano = b"GUANO|Version: 1.0\nTimestamp: 2024-05-01T05:30:00+02:00\n"
    stamped = wav + b"guan" + len(guano).to_bytes(4, "little") + guano + bytes(len(guano) % 2)
    for name, data in (
        ("20230101_000000.WAV", stamped),
        ("20230101_000000.WAV", wav),
        ("01-02-2023 04.05.wav", wav),
        ("dawn.wav", wav),
        ("edited 20230101_000000.wav", stamped),
        ("removed 20230101_000000.wav", stamped),
    ):
        uploads.accept([data], name=name, owner=anna, lane=Lane.BULK)
    recordings.set_start(Clip.objects.get(name__startswith="edited"), "2022-02-02T02:02:02Z")
    recordings.set_start(Clip.objects.get(name__startswith="removed"), "")
    task.analyse("")
    found = Clip.objects.order_by("created_at").values_list("recorded_at", "recorded_from")
    assert list(found) == [
        ("2024-05-01T05:30:00+02:00", "guano"),
        ("2023-01-01T00:00:00", "name"),
        ("2023-02-01T04:05:00", "name"),
        ("", ""),
        ("2022-02-02T02:02:02+00:00", "user"),
        ("", "user"),
    ]
    assert Analysis.objects.filter(state=State.DONE).count() == 6


def test_a_file_that_cannot_be_decoded_fails_alone(anna: User) -> None:
    rows = submit(anna, 5)
    storage.clip_path(rows[1].clip.file_key).write_bytes(b"no sound")
    storage.clip_path(rows[4].clip.file_key).unlink()
    task.analyse("")
    assert states(rows) == ["done", "failed", "done", "done", "failed"]
    codes = {row.error_code for row in Analysis.objects.filter(state=State.FAILED)}
    assert codes == {"not_audio", "file_missing"}


def test_a_long_recording_for_which_the_disk_has_no_room_fails_alone(
    anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(SamplesOnDisk, "append", full)
    long = fixtures.encode(fixtures.noise(65.0, 8000), 8000, "FLAC")
    row = uploads.accept([long], name="long", owner=anna, lane=Lane.BULK)
    rows = [*submit(anna, 1), row, *submit(anna, 2)]
    task.analyse("")
    assert states(rows) == ["done", "failed", "done", "done"]
    assert Analysis.objects.get(pk=row.pk).error_code == "no_room"


def test_nothing_is_kept_of_a_long_recording_that_is_damaged_at_its_end(anna: User) -> None:
    long = fixtures.encode(fixtures.noise(70.0, 8000), 8000, "FLAC")
    rows = [
        uploads.accept([data], name="long", owner=anna, lane=Lane.BULK)
        for data in (long, long[: len(long) * 9 // 10])
    ]
    task.analyse("")
    assert states(rows) == ["done", "failed"]
    assert Analysis.objects.get(pk=rows[1].pk).error_code == "damaged"
    done = Analysis.objects.get(pk=rows[0].pk)
    assert done.clip.duration_s == 70.0
    assert len(list((storage.root() / storage.ANALYSES).glob("*/*"))) == 1
    assert not list(storage.incoming_folder().iterdir())


def test_a_chunk_in_which_no_file_can_be_decoded_fails(anna: User) -> None:
    rows = submit(anna, 4)
    for row in rows:
        storage.clip_path(row.clip.file_key).write_bytes(b"no sound")
    task.analyse("")
    assert states(rows) == ["failed"] * 4


def test_the_steps_are_true_for_the_clips_of_the_part_only(
    anna: User, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = submit(anna, 5)
    seen = []

    def look(_: int) -> None:
        found = dict(Analysis.objects.values_list("pk", "step"))
        seen.append([found[row.pk] for row in rows])

    during(monkeypatch, classifier, look)
    task.analyse("")
    now, ahead, after = Step.CLASSIFYING, Step.DECODING, Step.RENDERING
    assert seen == [[now, now, now, ahead, ahead], [after, after, after, now, now]]


def test_a_lease_lost_in_the_middle_of_a_chunk_loses_only_its_own_clips(
    anna: User, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = submit(anna, 5)

    def lose(part: int) -> None:
        if part == 1:
            Analysis.objects.filter(pk=rows[3].pk).requeue_or_fail()

    during(monkeypatch, classifier, lose)
    task.analyse("")
    assert states(rows) == ["done", "done", "done", "queued", "done"]
    lost = Analysis.objects.get(pk=rows[3].pk)
    assert not lost.folder.exists()
    assert lost.step == Step.NONE


@pytest.mark.parametrize("lost", [False, True])
def test_the_pictures_of_a_long_single_clip_are_stored_before_it_is_classified(
    anna: User, classifier: Classifier, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    monkeypatch.setattr(task, "EARLY_PICTURES_S", 6.0)
    for lane, length_s in ((Lane.INTERACTIVE, 6.0), (Lane.INTERACTIVE, 1.0), (Lane.BULK, 6.0)):
        sound = fixtures.encode(fixtures.noise(length_s, 32_000), 32_000, "WAV")
        uploads.accept([sound], name="x", owner=anna, lane=lane)
    found: list[Any] = []

    def look(part: int) -> None:
        for row in Analysis.objects.filter(state=State.RUNNING):
            files = {path.name for path in row.folder.glob("*")}
            assert row.clip_duration_s == row.clip.duration_s
            found.append((row.clip.duration_s, row.early is not None, files))
        if lost and part == 0:
            Analysis.objects.filter(state=State.RUNNING).requeue_or_fail()

    during(monkeypatch, classifier, look)
    task.analyse("")
    early = {storage.SPECTROGRAM, storage.PEAKS}
    assert sorted(found, key=str) == [(6.0, True, early), (None, False, set())]
    rows = Analysis.objects.filter(lane=Lane.INTERACTIVE)
    assert [row.early for row in rows] == [None, None]
    if lost:
        assert not any(row.folder.exists() for row in rows)
        return
    task.analyse("")
    assert set(Analysis.objects.values_list("state", flat=True)) == {State.DONE}
    for row in Analysis.objects.all():
        names = {path.name for path in row.folder.iterdir()}
        assert names == early | {storage.STRIP, storage.MAPS}


def test_an_error_with_one_clip_returns_the_others_of_its_part(
    anna: User, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = submit(anna, 5)

    def render(
        _: Classifier, sound: Sound, result: Result, drawn: Any
    ) -> tuple[dict[str, Any], Any]:
        if (sound.waveform == broken.waveform).all():
            raise ValueError("ours")
        return rendered(classifier, sound, result)

    broken, rendered = task.decoding.decode(rows[4].clip, 32_000), task.render
    monkeypatch.setattr(task, "render", render)
    task.analyse("")
    assert states(rows) == ["done", "done", "done", "queued", "queued"]
    for _ in range(4):
        task.analyse("")
    assert states(rows) == ["done", "done", "done", "done", "failed"]


def test_a_rendered_part_is_saved_even_if_the_next_one_fails(
    anna: User, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = submit(anna, 5)

    def fail(part: int) -> None:
        if part == 1:
            raise ValueError("ours")

    during(monkeypatch, classifier, fail)
    task.analyse("")
    assert states(rows) == ["done", "done", "done", "queued", "queued"]


def test_a_part_with_much_sound_has_fewer_clips(
    anna: User, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "PART_S", 1.5)
    rows = submit(anna, 5)
    sizes: list[int] = []

    def classify(waveforms: Sequence[Waveform]) -> list[Result]:
        sizes.append(len(waveforms))
        return Classifier.classify(classifier, waveforms)

    monkeypatch.setattr(classifier, "classify", classify)
    task.analyse("")
    assert sizes == [2, 2, 1]
    assert states(rows) == ["done"] * 5


def test_a_chunk_that_takes_long_is_given_back(
    anna: User, monkeypatch: pytest.MonkeyPatch, woken: list[UUID]
) -> None:
    monkeypatch.setattr(task, "LONGEST_CHUNK_S", 0.0)
    rows = submit(anna, 5)
    task.analyse("")
    assert states(rows) == ["done", "done", "done", "queued", "queued"]
    assert woken == [rows[3].pk]
    assert not Analysis.objects.filter(alone=True).exists()


def test_a_chunk_wakes_a_worker_for_the_next(
    anna: User, monkeypatch: pytest.MonkeyPatch, woken: list[UUID]
) -> None:
    monkeypatch.setattr(task, "CHUNK_CLIPS", 2)
    rows = submit(anna, 3)
    task.analyse("")
    assert woken == [rows[2].pk]
    task.analyse("")
    assert woken == [rows[2].pk], "nothing is left"


def test_what_is_given_back_of_a_cancelled_batch_is_cancelled(
    anna: User, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Batch.objects.create(owner=anna, name="field")
    rows = submit(anna, 5)
    for number, row in enumerate(rows):
        BatchFile.objects.create(
            batch=batch, path=f"{number}.wav", analysis=row, outcome=FileOutcome.ACCEPTED
        )
    single: list[Analysis] = []

    def cancel(part: int) -> None:
        if part == 0:
            assert batches.cancel(batch) == 0, "all are running"
            single.extend(submit(anna, 1, Lane.INTERACTIVE))

    during(monkeypatch, classifier, cancel)
    task.analyse("")
    assert states(rows) == ["done", "done", "done", "cancelled", "cancelled"]
    assert states(single) == ["queued"]


def test_single_clips_are_claimed_in_small_chunks(anna: User) -> None:
    rows = submit(anna, 20, Lane.INTERACTIVE)
    assert len(Analysis.objects.claim(32, 10**9)) == 16 < len(rows)


def test_bulk_work_gives_way_to_a_single_clip_after_a_part(
    anna: User, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = submit(anna, 7)
    single: list[Analysis] = []

    def ask(part: int) -> None:
        if part == 0:
            single.extend(submit(anna, 1, Lane.INTERACTIVE))

    during(monkeypatch, classifier, ask)
    task.analyse("")
    assert states(rows + single) == ["done"] * 3 + ["queued"] * 5
    task.analyse("")
    assert states(single) == ["done"]
    assert not Analysis.objects.filter(alone=True).exists()
    task.analyse("")
    assert states(rows) == ["done"] * 7


def test_the_queries_of_a_chunk_are_two_per_clip_and_few_per_part(anna: User) -> None:
    def queries(clips: int) -> int:
        submit(anna, clips)
        with CaptureQueriesContext(connection) as made:
            task.analyse("")
        # Savepoints exist only inside a test's transaction.
        return sum("SAVEPOINT" not in query["sql"] for query in made.captured_queries)

    one_part, one_clip_less, two_parts = queries(3), queries(2), queries(6)
    assert one_part - one_clip_less == 2, "the row and its clip"
    assert two_parts <= 2 * one_part
    # One of them inserts the events of all clips.
    assert one_part <= 22
