"""Batches in the API: filters, ownership and deletion."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.asserts import assertContains, assertNotContains

from classifier import storage
from classifier.models import Analysis, Batch, BatchFile, Clip, Lane, State
from classifier.services import batches, deletion, uploads
from classifier.services.problems import RequestRefused
from classifier.tests.conftest import Caller, refused


def filled(owner: User, name: str, *sounds: bytes) -> Batch:
    """Create a batch with one file for each sound, named by its number."""
    batch = batches.create(owner, name)
    for number, sound in enumerate(sounds):
        batches.add_file(batch, str(number), [sound])
    return batch


def analysed(**values: object) -> None:
    """Finish all queued analyses, and write their files."""
    for row in Analysis.objects.filter(state=State.QUEUED):
        token = row.pk.hex
        storage.write_all(storage.analysis_folder(row.pk, token), {storage.STRIP: b"png"})
        done = {"state": State.DONE, "label": "dog", "confidence": 0.9, "token": token}
        Analysis.objects.filter(pk=row.pk).update(**done | values)


def names_on_disk(media: Path) -> int:
    return len([path for path in media.rglob("*") if path.is_file()])


# --- lists --------------------------------------------------------------------------------


def test_batches_can_be_filtered_by_name_state_and_date(caller: Caller, ben: User) -> None:
    old, closed, cancelled = (filled(caller.user, n) for n in ("Garden", "pond", "garden 2"))
    filled(ben, "garden of another")
    batches.close(closed)
    batches.cancel(cancelled)
    Batch.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    assert caller.ids("batches/") == [str(b.pk) for b in (cancelled, closed, old)]
    assert caller.ids("batches/", name="garden") == [str(cancelled.pk), str(old.pk)]
    assert caller.ids("batches/", state="open") == [str(old.pk)]
    assert caller.ids("batches/", state="closed") == [str(closed.pk)]
    assert caller.ids("batches/", state="cancelled") == [str(cancelled.pk)]
    assert caller.ids("batches/", created_before=yesterday) == [str(old.pk)]
    assert caller.ids("batches/", created_after=yesterday, name="n") == [
        str(cancelled.pk), str(closed.pk),
    ]  # fmt: skip
    page = caller.get("batches/", limit=2).json()
    (last,) = caller.client.get(page["next"]).json()["results"]
    assert (last["id"], last["state"]) == (str(old.pk), "open")


def test_analyses_and_clips_of_a_batch_are_listed_once_each(caller: Caller) -> None:
    uploads.accept([b"single"], name="x", owner=caller.user)
    earlier = uploads.accept([b"earlier"], name="x", owner=caller.user)
    batch = filled(caller.user, "trip", b"one", b"one", b"two", b"earlier", b"")
    own = batch.files.order_by("path").values_list("analysis", flat=True)
    first, twin, second, linked, none = own
    assert (first, linked, none) == (twin, earlier.pk, None)
    assert caller.ids("analyses/", batch=batch.pk) == [
        str(pk) for pk in (second, first, earlier.pk)
    ]
    clips = [str(Analysis.objects.get(pk=pk).clip_id) for pk in (second, first, linked)]
    assert caller.ids("clips/", batch=batch.pk) == clips
    analysed()
    assert len(caller.ids("analyses/", batch=batch.pk, label="dog")) == 3
    assert caller.ids("analyses/", batch=batch.pk, state="queued") == []


@pytest.mark.skipif(connection.vendor != "sqlite", reason="other planners know the tables' sizes")
def test_filtering_by_a_small_batch_does_not_scan_the_history(caller: Caller) -> None:
    batch = filled(caller.user, "trip", b"one")
    for rows in (
        Analysis.objects.for_list(caller.user, batch),
        Analysis.objects.for_history(caller.user, label="dog", state="done", batch=batch),
        Clip.objects.for_owner(caller.user, batch).order_by("-created_at", "-id"),
    ):
        plan = rows.explain()
        assert "LIST SUBQUERY" in plan and "batch_id=?" in plan
        assert "classifier_analysis USING INDEX analysis_" not in plan and "SCAN" not in plan


def test_another_users_batch_cannot_be_used_as_a_filter(caller: Caller, ben: User) -> None:
    theirs = filled(ben, "trip", b"one")
    gone = "00000000-0000-4000-8000-000000000000"
    for path in ("analyses/", "clips/"):
        for batch in (theirs.pk, gone):
            refused(caller.get(path, batch=batch), 404, "no_such_batch")


def test_the_history_can_be_filtered_by_batch(anna: User, ben: User) -> None:
    client = Client()
    client.force_login(anna)
    uploads.accept([b"single"], name="alone.wav", owner=anna)
    batch, theirs = filled(anna, "trip", b"one"), filled(ben, "theirs", b"two")
    link = f"/history/?batch={batch.pk}"
    assertContains(client.get(f"/batches/{batch.pk}/"), link)
    page = client.get(link)
    assertContains(page, "in the batch <a")
    assertNotContains(page, "alone.wav")
    refused = client.get(f"/history/?batch={theirs.pk}")
    assertContains(refused, "This batch does not exist.", status_code=400)


def test_batches_of_another_user_cannot_be_changed(caller: Caller, ben: User) -> None:
    theirs = filled(ben, "trip", b"one")
    address = f"batches/{theirs.pk}/"
    for answer in (
        caller.get(address),
        caller.delete(address),
        caller.send(address, "new", b"new"),
        *(caller.post(f"{address}{end}/") for end in ("close", "cancel", "retry")),
        *(caller.get(f"{address}results.{kind}") for kind in ("csv", "json")),
    ):
        refused(answer, 404, "not_found")
    client = Client()
    client.force_login(caller.user)
    assert client.post(f"/batches/{theirs.pk}/delete/").status_code == 404
    assert theirs.files.count() == 1
    assert Batch.objects.get().state == "open"


# --- sending ------------------------------------------------------------------------------


def test_sending_a_file_returns_the_location_of_its_analysis(caller: Caller) -> None:
    made = caller.post("batches/", {"name": "trip"})
    assert (made.status_code, made.json()["state"]) == (201, "open")
    address = made["Location"].removeprefix("/api/v1/")
    sent = caller.send(address, "a.wav", b"sound")
    assert sent["Location"] == f"/api/v1/analyses/{sent.json()['analysis']}/"
    assert caller.send(address, "b.wav", b"sound")["Location"] == sent["Location"]
    refusal = caller.send(address, "c.wav", b"")
    assert (refusal.status_code, refusal.json()["analysis"]) == (200, None)
    assert "Location" not in refusal
    assert caller.send(address, "", b"other").json()["path"] == "x.wav"
    for path in ("/", "../..", "a\x00b", "x" * 1001):
        refused(caller.send(address, path, b"sound"), 400)
    refused(caller.post("batches/", {"name": 7}), 400, "invalid")


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_file_without_a_result_gets_the_new_analysis_of_its_clip(
    caller: Caller, state: str
) -> None:
    batch = filled(caller.user, "trip", b"one", b"two")
    Analysis.objects.update(state=state)
    file = batch.files.select_related("analysis").get(path="0")
    assert file.analysis
    again = caller.post(f"clips/{file.analysis.clip_id}/analyses/").json()["analysis"]
    file.refresh_from_db()
    assert str(file.analysis_id) == again
    totals = batches.totals(batch)
    assert (totals.waiting, getattr(totals, state)) == (1, 1)
    analysed()
    payload = caller.get(f"batches/{batch.pk}/").json()
    assert (payload["totals"]["done"], payload["labels"]) == (1, [{"label": "dog", "count": 1}])


def test_a_file_with_a_result_keeps_it(caller: Caller) -> None:
    batch = filled(caller.user, "trip", b"one")
    analysed()
    file = batch.files.select_related("analysis").get()
    assert file.analysis
    caller.post(f"clips/{file.analysis.clip_id}/analyses/")
    file.refresh_from_db()
    assert file.analysis and file.analysis.state == State.DONE
    assert batches.totals(batch).done == 1


# --- deleting -----------------------------------------------------------------------------


def test_a_deleted_batch_leaves_no_row_and_no_file(
    caller: Caller, own_media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "CLIPS_AT_ONCE", 2)
    batch = filled(caller.user, "trip", b"one", b"two", b"three", b"two", b"")
    analysed()
    for sound in (b"waits", b"runs", b"failed"):
        batches.add_file(batch, sound.decode(), [sound])
        if sound == b"failed":
            Analysis.objects.filter(state=State.QUEUED, clip__name="failed").update(state="failed")
    (running,) = Analysis.objects.claim(1, 10**9)
    assert names_on_disk(own_media) == 6 + 3
    assert caller.delete(f"batches/{batch.pk}/").status_code == 204
    for model in (Batch, BatchFile, Clip, Analysis):
        assert not model._default_manager.exists()
    assert names_on_disk(own_media) == 0
    assert not list((own_media / storage.ANALYSES).glob("*/*"))
    assert Analysis.objects.held(running.token).count() == 0  # its worker's result is dropped
    refused(caller.get(f"batches/{batch.pk}/"), 404)
    refused(caller.delete(f"batches/{batch.pk}/"), 404)
    with pytest.raises(RequestRefused) as late:
        batches.add_file(batch, "late", [b"late"])
    assert (late.value.problem.code, late.value.status) == ("batch_deleted", 409)
    assert names_on_disk(own_media) == 0


def test_a_deletion_keeps_clips_that_are_used_elsewhere(
    caller: Caller, ben: User, own_media: Path
) -> None:
    earlier = uploads.accept([b"earlier"], name="earlier", owner=caller.user)
    batch = filled(caller.user, "trip", b"earlier", b"ours", b"shared", b"waits")
    later = uploads.accept([b"shared"], name="later", owner=caller.user)
    analysed()
    uploads.accept([b"ours"], name="x", owner=ben)
    other = filled(ben, "trip", b"shared")
    deletion.delete_batch(batch)
    left = Analysis.objects.filter(owner=caller.user)
    assert set(left.values_list("pk", flat=True)) == {earlier.pk, later.pk}
    assert storage.clip_path(later.clip.file_key).read_bytes() == b"shared"
    assert storage.clip_path(earlier.clip.file_key).read_bytes() == b"earlier"
    assert (batches.totals(other).total, Clip.objects.filter(owner=ben).count()) == (1, 2)
    # Two clips of anna with their images, and two queued clips of ben.
    assert names_on_disk(own_media) == 2 * 2 + 2


def test_another_batch_takes_over_shared_clips(caller: Caller, own_media: Path) -> None:
    first = filled(caller.user, "first", b"both", b"only")
    second = filled(caller.user, "second", b"both", b"both", b"new")
    third = filled(caller.user, "third", b"both")
    assert batches.totals(second).duplicate == 2
    deletion.delete_batch(first)
    totals = batches.totals(second)
    assert (totals.waiting, totals.duplicate, totals.cancelled) == (2, 1, 0)
    assert batches.totals(third).duplicate == 1
    deletion.delete_batch(second)
    assert batches.totals(third).waiting == 1
    assert {row.lane for row in Analysis.objects.waiting()} == {Lane.BULK}
    deletion.delete_batch(third)
    assert not Clip.objects.exists()
    assert names_on_disk(own_media) == 0


def test_an_interrupted_deletion_can_be_continued(
    caller: Caller, own_media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = filled(caller.user, "trip", *(b"%d" % number for number in range(5)))
    monkeypatch.setattr(deletion, "CLIPS_AT_ONCE", 2)
    delete_some, calls = deletion.delete_clips, iter("ab")

    def breaks(clips: object) -> None:
        if next(calls) == "b":
            raise KeyboardInterrupt
        delete_some(clips)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(deletion, "delete_clips", breaks)
        with pytest.raises(KeyboardInterrupt):
            deletion.delete_batch(batch)
    payload = caller.get(f"batches/{batch.pk}/").json()
    assert (payload["state"], payload["totals"]["cancelled"]) == ("cancelled", 3)
    assert caller.delete(f"batches/{batch.pk}/").status_code == 204
    assert not Clip.objects.exists()
    assert names_on_disk(own_media) == 0


def test_a_large_batch_is_deleted_with_few_queries(
    anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(count: int) -> int:
        batch = batches.create(anna, "large")
        clips = Clip.objects.bulk_create(
            Clip(owner=anna, name="x", file_key=f"{n:032}", size_bytes=1, sha256=f"{n:064}")
            for n in range(count)
        )
        analyses = Analysis.objects.bulk_create(Analysis(clip=c, owner=anna) for c in clips)
        BatchFile.objects.bulk_create(
            BatchFile(batch=batch, path=f"{n}", outcome="accepted", analysis=analysis)
            for n, analysis in enumerate(analyses)
        )
        with CaptureQueriesContext(connection) as queries:
            deletion.delete_batch(batch)
        assert not Clip.objects.exists()
        return len(queries)

    few, many = asked(10), asked(2000)
    assert many < 10 * few
    assert many < 200


def test_the_page_asks_before_it_deletes(anna: User) -> None:
    client = Client()
    client.force_login(anna)
    batch = filled(anna, "trip", b"one")
    page = client.get(f"/batches/{batch.pk}/")
    assertContains(page, 'data-confirm="Delete this batch, its 1 sound and ')
    assert client.get(f"/batches/{batch.pk}/delete/").status_code == 405
    assert client.post(f"/batches/{batch.pk}/delete/")["Location"] == "/batches/"
    assert not Clip.objects.exists()


def test_the_admin_deletes_in_the_same_way(anna: User, own_media: Path) -> None:
    batch = filled(anna, "trip", b"one", b"two")
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="x"))
    page = client.get(f"/admin/classifier/batch/{batch.pk}/delete/")
    assertContains(page, "Batch files: 2")
    assertContains(page, "trip, and its clips that are not in any other batch")
    client.post(f"/admin/classifier/batch/{batch.pk}/delete/", {"post": "yes"})
    assert not Batch.objects.exists()
    assert not Clip.objects.exists()
    assert names_on_disk(own_media) == 0
