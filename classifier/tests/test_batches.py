"""Batches: one row per path, one count per file; a bad file does not stop the others."""

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings
from pytest_django.asserts import assertContains, assertNotContains

from classifier import storage
from classifier.models import Analysis, Batch, BatchFile, Clip, FileOutcome, Lane, State
from classifier.services import batches, deletion, uploads, zip_import
from classifier.services.problems import RequestRefused
from ml.errors import Problem


@pytest.fixture
def batch(anna: User) -> Batch:
    return batches.create(anna, "field trip")


@pytest.fixture
def visitor(anna: User) -> Client:
    client = Client()
    client.force_login(anna)
    return client


def settle(state: State, label: str = "", **values) -> None:
    Analysis.objects.filter(state=State.QUEUED).update(
        state=state, label=label, confidence=0.9 if label else None, **values
    )


# --- adding files -------------------------------------------------------------------------


def test_the_same_file_twice_is_one_file(batch: Batch) -> None:
    first = batches.add_file(batch, "a/b.wav", [b"one"])
    second = batches.add_file(batch, "a/b.wav", [b"o", b"ne"])
    assert first.pk == second.pk
    assert Analysis.objects.count() == Clip.objects.count() == 1
    assert Analysis.objects.get().lane == Lane.BULK
    assert Clip.objects.get().name == "b.wav"


def test_other_bytes_at_the_same_path_are_refused(batch: Batch, own_media: Path) -> None:
    batches.add_file(batch, "a.wav", [b"one"])
    with pytest.raises(RequestRefused) as sent:
        batches.add_file(batch, "a.wav", [b"two"])
    with pytest.raises(RequestRefused) as declared:
        batches.refuse(batch, "a.wav", Problem("too_large", "Too large.", "Split it."))
    for refused in (sent, declared):
        assert (refused.value.problem.code, refused.value.status) == ("path_used", 400)
    assert batches.totals(batch).total == 1
    assert len([path for path in own_media.rglob("*") if path.is_file()]) == 1


def test_a_good_file_replaces_a_refused_one(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    unreadable = Problem("unreadable", "The file cannot be read.", "Check it.")
    batches.refuse(batch, "a.wav", unreadable)
    monkeypatch.setattr(batches, "MAX_FILES", 1)
    assert batches.add_file(batch, "a.wav", [b""]).code == "empty"
    file = batches.add_file(batch, "a.wav", [b"good"])
    assert (file.outcome, file.error) == (FileOutcome.ACCEPTED, None)
    totals = batches.totals(batch)
    assert (totals.total, totals.waiting, totals.refused) == (1, 1, 0)
    assert batches.add_file(batch, "a.wav", [b"good"]).pk == file.pk
    assert Clip.objects.count() == 1


def test_a_closed_batch_keeps_its_refused_files(batch: Batch) -> None:
    batches.add_file(batch, "a.wav", [b""])
    batches.close(batch)
    with pytest.raises(RequestRefused) as refused:
        batches.add_file(batch, "a.wav", [b"good"])
    assert refused.value.problem.code == "batch_closed"
    assert batches.totals(batch).refused == 1


def test_hidden_files_are_refused(batch: Batch) -> None:
    for path in (".git/a.wav", "a/._b.wav", "Thumbs.db"):
        assert batches.add_file(batch, path, [b"x"]).code == "hidden"
    assert batches.totals(batch).refused == 3


def test_known_bytes_are_linked_and_count_as_duplicates_only(
    batch: Batch, ben: User, own_media: Path
) -> None:
    single = uploads.accept([b"known"], name="x", owner=batch.owner)
    uploads.accept([b"theirs"], name="x", owner=ben)
    settle(State.DONE, "dog")
    linked = batches.add_file(batch, "1.wav", [b"known"])
    batches.add_file(batch, "2.wav", [b"theirs"])
    batches.add_file(batch, "3.wav", [b"theirs"])
    assert (linked.outcome, linked.analysis) == (FileOutcome.DUPLICATE, single)
    totals = batches.totals(batch)
    assert (totals.total, totals.done, totals.waiting, totals.duplicate) == (3, 0, 1, 2)
    assert len([path for path in own_media.rglob("*") if path.is_file()]) == 3


def test_bytes_whose_analysis_failed_are_analysed_again(batch: Batch) -> None:
    uploads.accept([b"x"], name="x", owner=batch.owner)
    settle(State.FAILED)
    assert batches.add_file(batch, "x", [b"x"]).outcome == FileOutcome.ACCEPTED


def test_refused_files_are_recorded_with_the_reason(batch: Batch, settings: Settings) -> None:
    settings.MAX_UPLOAD_BYTES = 10
    for path, data in (("empty.wav", b""), ("huge.wav", b"x" * 11)):
        file = batches.add_file(batch, path, [data])
        assert file.outcome == FileOutcome.REFUSED
        assert file.error is not None
        assert all(file.error.as_dict().values())
    assert batches.totals(batch).refused == 2
    assert not Clip.objects.exists()


@pytest.mark.parametrize("path", ["", "x" * 1001, "鳥" * 900])
def test_an_invalid_path_is_refused(batch: Batch, path: str) -> None:
    with pytest.raises(RequestRefused):
        batches.add_file(batch, path, [b"x"])
    assert batches.totals(batch).total == 0


def test_a_closed_batch_refuses_new_files_and_returns_known_ones(
    batch: Batch, own_media: Path
) -> None:
    batches.add_file(batch, "a", [b"a"])
    batches.close(batch)
    assert batches.add_file(batch, "a", [b"a"]).path == "a"
    with pytest.raises(RequestRefused) as refused:
        batches.add_file(batch, "b", [b"b"])
    assert (refused.value.problem.code, refused.value.status) == ("batch_closed", 409)
    assert batches.totals(batch).total == 1


def test_a_full_batch_stores_no_bytes(
    batch: Batch, own_media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_FILES", 1)
    batches.add_file(batch, "a", [b"a"])
    with pytest.raises(RequestRefused) as refused:
        batches.add_file(batch, "b", [b"b"])
    assert refused.value.problem.code == "batch_full"
    assert len([path for path in own_media.rglob("*") if path.is_file()]) == 1


# --- cancel, retry, delete ----------------------------------------------------------------


def test_cancel_affects_only_queued_analyses(batch: Batch) -> None:
    for number in range(4):
        batches.add_file(batch, str(number), [b"%d" % number])
    single = uploads.accept([b"single"], name="x", owner=batch.owner, lane=Lane.BULK)
    Analysis.objects.claim(1, 10**9)
    assert batches.cancel(batch) == 3
    assert batches.cancel(batch) == 0
    totals = batches.totals(batch)
    assert (totals.running, totals.cancelled) == (1, 3)
    single.refresh_from_db()
    assert single.state == State.QUEUED
    assert not batch.open


def test_retry_analyses_only_files_again_that_may_succeed(visitor: Client, batch: Batch) -> None:
    codes = ("", "crashed", "inference_unavailable", "not_audio", "too_long")
    for code in codes:
        batches.add_file(batch, f"rec-{code}.wav", [code.encode() or b"good"])
        settle(State.FAILED if code else State.DONE, error_code=code)
    api = f"/api/v1/batches/{batch.pk}/"
    assert visitor.get(api).json()["retryable"] == 2
    assertContains(visitor.get(f"/batches/{batch.pk}/"), "Retry 2 failed files")
    assert visitor.post(f"{api}retry/").json()["retried_now"] == 2
    assert batches.retry_failed(batch) == 0
    totals = batches.totals(batch)
    assert (totals.done, totals.failed, totals.waiting) == (1, 2, 2)
    page = visitor.get(f"/batches/{batch.pk}/")
    assertContains(page, "rec-not_audio.wav")
    assertNotContains(page, f"/batches/{batch.pk}/retry/")
    assert set(Analysis.objects.waiting().values_list("lane", flat=True)) == {Lane.BULK}


def test_a_deleted_clip_is_no_longer_in_the_batch(batch: Batch) -> None:
    file = batches.add_file(batch, "a", [b"a"])
    assert file.analysis
    deletion.delete_clip(file.analysis.clip)
    assert batches.totals(batch).total == 0


# --- ZIP ----------------------------------------------------------------------------------


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_zip_keeps_its_paths_and_skips_other_files(batch: Batch, tmp_path: Path) -> None:
    members = {"a/1.wav": b"1", "a/b/2.wav": b"2", "../3.wav": b"3", "__MACOSX/x": b"x"}
    members["a/notes.txt"] = b"no sound"
    unpacked = zip_import.take_in(batch, zipped(tmp_path / "x.zip", members | {".DS_Store": b"x"}))
    assert (unpacked.outcomes["accepted"], len(unpacked.left_out)) == (3, 3)
    assert set(batch.files.values_list("path", flat=True)) == {"a/1.wav", "a/b/2.wav", "3.wav"}
    zip_import.take_in(batch, tmp_path / "x.zip")
    assert batches.totals(batch).total == 3
    batch.refresh_from_db()
    assert batch.left_out == 3


def test_a_bad_member_does_not_stop_the_import(
    batch: Batch, tmp_path: Path, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = 50_000_000
    path = zipped(
        tmp_path / "x.zip",
        {
            "bomb.wav": bytes(20_000_000),
            "silence.wav": bytes(9_000_000),
            "damaged.wav": b"damage me " * 50,
            "empty.wav": b"",
            "good.wav": b"good",
        },
    )
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        data[archive.getinfo("damaged.wav").header_offset + 30 + len("damaged.wav") + 4] ^= 0xFF
        locked = archive.getinfo("good.wav").header_offset
    path.write_bytes(data)
    zip_import.take_in(batch, path)
    outcomes = {file.path: (file.outcome, file.code) for file in batch.files.all()}
    assert outcomes == {
        "bomb.wav": ("refused", "compressed_too_well"),
        "silence.wav": ("accepted", ""),
        "damaged.wav": ("refused", "damaged"),
        "empty.wav": ("refused", "empty"),
        "good.wav": ("accepted", ""),
    }
    # The same, protected with a password.
    data[locked + 6] |= 1
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    other = batches.create(batch.owner, "locked")
    zip_import.take_in(other, path)
    assert other.files.get(path="good.wav").code == "encrypted"


def test_a_zip_has_limits_of_its_own(
    batch: Batch, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "x.zip", {str(number): b"%d" % number * 10 for number in range(5)})
    settings.MAX_ZIP_BYTES = 25
    with pytest.raises(RequestRefused) as refused:
        zip_import.take_in(batch, path)
    assert refused.value.problem.code == "zip_too_large"
    assert batches.totals(batch).total == 2
    monkeypatch.setattr(batches, "MAX_FILES", 4)
    with pytest.raises(RequestRefused) as refused:
        zip_import.take_in(batch, path)
    assert refused.value.problem.code == "too_many_files"
    for data in (b"", b"no zip", path.read_bytes()[:-10]):
        path.write_bytes(data)
        with pytest.raises(RequestRefused) as refused:
            zip_import.take_in(batch, path)
        assert refused.value.problem.code == "no_zip"


# --- the command --------------------------------------------------------------------------


def test_the_command_continues_an_interrupted_submission(anna: User, tmp_path: Path) -> None:
    folder = tmp_path / "trip"
    (folder / "sub").mkdir(parents=True)
    (folder / ".hidden").write_bytes(b"x")
    for name in ("b.wav", "a.wav", "sub/c.wav"):
        (folder / name).write_bytes(name.encode())
    call_command("submit_folder", folder, user="anna")
    (folder / "d.wav").write_bytes(b"d")
    payload = io.StringIO()
    call_command("submit_folder", folder, user="anna", json=True, stdout=payload)
    assert json.loads(payload.getvalue())["totals"]["waiting"] == 4
    batch = Batch.objects.get()
    assert batch.name == "trip"
    paths = list(batch.files.order_by("pk").values_list("path", flat=True))
    assert paths == ["a.wav", "b.wav", "sub/c.wav", "d.wav"]
    assert Analysis.objects.count() == 4


def test_the_exit_status_is_1_if_a_file_was_refused(anna: User, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "link.wav").symlink_to(tmp_path / "nowhere")
    (tmp_path / "good.wav").write_bytes(b"x")
    with pytest.raises(SystemExit):
        call_command("submit_folder", tmp_path, user="anna")
    assert dict(BatchFile.objects.values_list("path", "code")) == {
        "empty.wav": "empty",
        "link.wav": "unreadable",
        "good.wav": "",
    }
    with pytest.raises(CommandError):
        call_command("submit_folder", tmp_path, user="nobody")


# --- pages, API and exports ---------------------------------------------------------------


def test_page_api_csv_and_json_agree(visitor: Client, batch: Batch) -> None:
    batches.add_file(batch, "=cmd().wav", [b"1"])
    settle(State.DONE, "dog", predictions=[{"class": "dog", "confidence": 0.9}] * 50)
    batches.add_file(batch, "2.wav", [b"2"])
    settle(State.FAILED, error_code="damaged", error_detail="It stops.", error_hint="Copy it.")
    batches.add_file(batch, "3.wav", [b""])
    batches.add_file(batch, "4.wav", [b"1"])
    batches.add_file(batch, "5.wav", [b"5"])

    payload = visitor.get(f"/api/v1/batches/{batch.pk}/").json()
    expected = {"total": 5, "done": 1, "running": 0, "waiting": 1, "failed": 1, "cancelled": 0,
                "refused": 1, "duplicate": 1}  # fmt: skip
    assert payload["totals"] == expected
    assert payload["labels"] == [{"label": "dog", "count": 1}]
    assert visitor.get("/api/v1/batches/").json()["results"][0]["totals"] == expected

    page = visitor.get(f"/batches/{batch.pk}/")
    for name in ("done", "waiting", "failed", "refused", "duplicate"):
        assertContains(page, f'data-total="{name}">1<')
    assertContains(page, "It stops.")
    for name in ("running", "cancelled"):
        assertNotContains(page, f'data-total="{name}"')
    assertNotContains(page, "style=")
    assertContains(visitor.get(f"/batches/{batch.pk}/?show=failed"), "2.wav")

    sheet = b"".join(visitor.get(f"/api/v1/batches/{batch.pk}/results.csv"))
    rows = list(csv.DictReader(io.StringIO(sheet.decode())))
    assert [row["path"] for row in rows][-1] == "'=cmd().wav"
    assert [row["outcome"] for row in rows] == [
        "accepted", "refused", "duplicate", "accepted", "accepted",
    ]  # fmt: skip
    assert rows[0]["error_hint"] == "Copy it."
    assert rows[2]["label"] == "dog"
    assert rows[2]["top_five"].count("dog 0.9000") == 5
    as_asked = visitor.get(
        f"/api/v1/batches/{batch.pk}/results.csv", headers={"Accept": "text/csv"}
    )
    assert as_asked["Content-Type"].startswith("text/csv")
    whole = json.loads(b"".join(visitor.get(f"/api/v1/batches/{batch.pk}/results.json")))
    assert whole["totals"] == expected
    assert len(whole["files"]) == 5


def test_shown_problems_never_contradict_the_totals(
    visitor: Client, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files fail or are retried between the query that counts and the one that lists."""
    batches.add_file(batch, "empty.wav", [b""])
    batches.add_file(batch, "1.wav", [b"1"])
    before = batches.totals(batch)
    settle(State.FAILED, error_code="crashed", error_detail="It stops.")
    batches.add_file(batch, "2.wav", [b"2"])
    settle(State.FAILED, error_code="crashed", error_detail="It stops.")
    after = batches.totals(batch)
    for totals, shown in (
        (batches.Totals(total=2, waiting=2), []),
        (before, ["empty.wav"]),
        (batches.Totals(total=3, failed=1, refused=1), ["1.wav", "empty.wav"]),
        (after, ["1.wav", "2.wav", "empty.wav"]),
    ):
        assert [file.path for file in batches.problems(batch, totals, 20)] == shown
        monkeypatch.setattr(batches, "totals", lambda _, totals=totals: totals)
        page = visitor.get(f"/batches/{batch.pk}/part/")
        if totals.failed:
            assertContains(page, f'data-total="failed">{totals.failed}<')
        else:
            assertNotContains(page, 'data-total="failed"')
        assertNotContains(page, "not listed here")
    batches.retry_failed(batch)
    page = visitor.get(f"/batches/{batch.pk}/part/")
    assertContains(page, "2 more are not listed here.")


def test_the_api_takes_files_once(visitor: Client, anna: User) -> None:
    made = visitor.post("/api/v1/batches/", {"name": "trip"}, "application/json")
    assert made.status_code == 201
    address = made["Location"]

    def send(path: str, data: bytes, code: int) -> dict:
        file = SimpleUploadedFile("x.wav", data)
        answer = visitor.post(f"{address}files/", {"file": file, "path": path})
        assert answer.status_code == code, answer.content
        return answer.json()

    first = send("a/1.wav", b"1", 202)
    assert send("a/1.wav", b"1", 200)["analysis"] == first["analysis"]
    assert send("a/2.wav", b"1", 200)["outcome"] == "duplicate"
    assert send("a/3.wav", b"", 200)["error"]["code"] == "empty"
    replaced = send("a/3.wav", b"3", 202)
    assert (replaced["outcome"], replaced["known"], replaced["error"]) == ("accepted", False, None)
    assert visitor.post(f"{address}close/").json()["closed_at"]
    assert set(send("a/4.wav", b"4", 409)) == {"code", "detail", "hint"}
    assert visitor.post(f"{address}cancel/").json()["cancelled_now"] == 2
    assert visitor.post(f"{address}retry/").status_code == 409
    assert set(visitor.post("/api/v1/batches/", {}, "application/json").json()) == {
        "code",
        "detail",
        "hint",
    }


def test_batches_of_another_user_are_not_found(batch: Batch, ben: User) -> None:
    client = Client()
    client.force_login(ben)
    for end in ("", "part/", "paths/", "rows/"):
        answer = client.get(f"/batches/{batch.pk}/{end}")
        assert answer.status_code == 404 or answer["HX-Redirect"] == "/batches/"
    for end in ("files/", "zip/", "close/", "cancel/", "retry/"):
        assert client.post(f"/batches/{batch.pk}/{end}").status_code == 404
    for end in ("", "results.csv", "results.json"):
        assert client.get(f"/api/v1/batches/{batch.pk}/{end}").status_code == 404
    for end in ("close/", "cancel/", "retry/"):
        assert client.post(f"/api/v1/batches/{batch.pk}/{end}").status_code == 404
    assertNotContains(client.get("/batches/"), "field trip")


def test_polling_returns_204_while_nothing_changes(visitor: Client, batch: Batch) -> None:
    batches.add_file(batch, "1.wav", [b"1"])
    part = f"/batches/{batch.pk}/part/"
    assertContains(visitor.get(part), "every 2s")
    seen = "1.0.0.1.0.0.0.0.1.0"
    assert visitor.get(f"{part}?seen={seen}").status_code == 204
    settle(State.DONE, "dog")
    assertContains(visitor.get(f"{part}?seen={seen}"), "Dog")
    batches.close(batch)
    assertNotContains(visitor.get(part), "hx-get")
    assert Client().get(part)["HX-Redirect"] == "/account/sign-in/"


def test_requests_of_the_upload_script_get_json(
    visitor: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.MAX_UPLOAD_BYTES = 10
    address = visitor.post("/batches/", {"name": "trip"}).json()["url"]
    sent = visitor.post(f"{address}files/", {"path": "1", "file": SimpleUploadedFile("x", b"x")})
    assert sent.json()["outcome"] == "accepted"
    big = visitor.post(f"{address}files/", {"path": "2", "size_bytes": "11"})
    assert big.json()["error"]["code"] == "too_large"
    assert visitor.post(f"{address}files/", {"path": "3", "size_bytes": "9"}).status_code == 400
    changed = visitor.post(f"{address}files/", {"path": "1", "file": SimpleUploadedFile("x", b"y")})
    assert (changed.status_code, changed.json()["code"]) == (400, "path_used")
    two = [SimpleUploadedFile("x", b"x"), SimpleUploadedFile("y", b"y")]
    assert (
        visitor.post(f"{address}files/", {"path": "5", "file": two}).json()["code"]
        == "several_files"
    )
    members = {"1": b"other", "4": b"4", "__MACOSX/._4": b"resources"}
    body = zipped(tmp_path / "x.zip", members).read_bytes()
    unpacked = visitor.post(f"{address}zip/", body, content_type="application/zip").json()
    assert unpacked["outcomes"] == {"accepted": 1}
    assert unpacked["left_out"] == ["__MACOSX/._4"]
    assert [(one["path"], one["error"]["code"]) for one in unpacked["not_taken"]] == [
        ("1", "path_used")
    ]
    # The refused file 2 may be sent again.
    assert sorted(visitor.get(f"{address}paths/").json()["paths"]) == ["1", "4"]
    assert not list((storage.root() / storage.INCOMING).iterdir())
    rows = visitor.get(f"{address}rows/?row={BatchFile.objects.get(path='4').pk}:x&row=99:x").json()
    assert list(rows["gone"]) == ["99"]
    visitor.post(f"{address}close/", {"left_out": "37"})
    assertContains(visitor.get(address), "37 other files left out")
    assert visitor.get(f"/api/v1{address}").json()["left_out"] == 37
    assert Client().post(f"{address}files/").status_code == 401


def test_the_page_shows_fifty_files_and_the_export_shows_all(
    visitor: Client, batch: Batch, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(60):
        batches.add_file(batch, f"{number}.wav", [b"%d" % number])
    assertContains(visitor.get(f"/batches/{batch.pk}/"), '<li class="row ', count=50)
    with django_assert_max_num_queries(5):
        lines = b"".join(visitor.get(f"/api/v1/batches/{batch.pk}/results.csv")).splitlines()
    assert len(lines) == 61
