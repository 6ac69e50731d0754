"""The pages and actions of the admin."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django.asserts import assertContains, assertNotContains

from classifier.models import Analysis, Batch, BatchFile, Clip, FileOutcome, Inspection, State
from classifier.monitoring import dashboard
from classifier.services import batches
from classifier.tests.conftest import done, queued

LISTED = "/admin/classifier/analysis/"


@pytest.fixture
def visitor(anna: User) -> Client:
    client = Client()
    client.force_login(anna)
    return client


@pytest.fixture
def batch(anna: User) -> Batch:
    batch = batches.create(anna, "field trip")
    for number in range(3):
        batches.add_file(batch, f"{number}.wav", [b"%d" % number])
    return batch


def test_admin_searches_filters_and_analyses_again(admin_client: Client, anna: User) -> None:
    dog, rain = done(anna, "dog"), done(anna, "rain")
    Clip.objects.filter(pk=rain.clip_id).update(name="roof.wav", sha256="5" * 64)
    for term in ("ROOF", "5555"):
        page = admin_client.get(f"/admin/classifier/analysis/?q={term}")
        assertContains(page, rain.pk)
        assertNotContains(page, dog.pk)
    assertContains(admin_client.get("/admin/classifier/analysis/?q=anna"), dog.pk)
    assertNotContains(admin_client.get("/admin/classifier/analysis/?q=nobody"), dog.pk)
    assertContains(admin_client.get("/admin/classifier/analysis/?label=dog"), dog.pk)
    admin_client.post(
        "/admin/classifier/analysis/",
        {"action": "analyse_again", "_selected_action": [str(dog.pk), str(rain.pk)]},
    )
    assert Analysis.objects.filter(state="queued").count() == 2
    detail = admin_client.get(f"/admin/classifier/analysis/{dog.pk}/change/")
    assertNotContains(detail, "_save")


def test_admin_dashboard_shows_the_state_of_the_server(admin_client: Client, anna: User) -> None:
    queued(anna)
    queued(anna, state="failed", error_code="damaged")
    page = admin_client.get("/admin/")
    assertContains(page, "interactive")
    assertContains(page, "damaged")
    assertContains(page, "Active workers")
    assertContains(page, "Free space on the data disk")
    assertContains(page, "anna")


def test_admin_dashboard_counts_inspections(anna: User) -> None:
    analysis = done(anna)
    for window, state in enumerate(("queued", "queued", "running", "failed")):
        Inspection.objects.create(
            analysis=analysis, kind="window", window=window, state=state, error_code="crashed"
        )
    inspections = dashboard.lanes()[-1]
    assert (inspections.kind, inspections.waiting, inspections.running) == ("inspection", 2, 1)
    assert dashboard.failures() == [dashboard.FailureView("inspection", "crashed", 1)]


def test_admin_shows_inspections_read_only(admin_client: Client, anna: User) -> None:
    analysis = done(anna)
    rows = {
        kind: Inspection.objects.create(
            analysis=analysis, kind=kind, label=label, map=name, window=window
        )
        for kind, label, name, window in (
            ("explanation", "dog", "", 0), ("channels", "", "layer4", 0), ("window", "", "", 3)
        )
    }  # fmt: skip
    listed = "/admin/classifier/inspection/"
    page = admin_client.get(listed)
    newest_first = [rows[kind] for kind in ("window", "channels", "explanation")]
    assert list(page.context["cl"].result_list) == newest_first
    for said in ("Dog", "layer4", "window 3", f"/admin/classifier/analysis/{analysis.pk}/change/"):
        assertContains(page, said)
    assertContains(admin_client.get(f"{listed}?kind__exact=channels"), "layer4")
    assertNotContains(admin_client.get(f"{listed}?kind__exact=channels"), "window 3")
    assert not admin_client.get(f"{listed}?state__exact=done").context["cl"].result_count
    own_page = f"{listed}{rows['explanation'].pk}/"
    assertNotContains(admin_client.get(f"{own_page}change/"), "_save")
    for address in (f"{listed}add/", f"{own_page}delete/"):
        assert admin_client.post(address, {"post": "yes"}).status_code == 403
    admin_client.post(f"/admin/classifier/analysis/{analysis.pk}/delete/", {"post": "yes"})
    assert not Inspection.objects.exists()


def test_admin_marks_unfinished_analyses_as_failed_and_no_others(
    admin_client: Client, anna: User
) -> None:
    waiting, analysed = queued(anna), done(anna)
    admin_client.post(
        "/admin/classifier/analysis/",
        {"action": "mark_as_failed", "_selected_action": [str(waiting.pk), str(analysed.pk)]},
    )
    waiting.refresh_from_db()
    analysed.refresh_from_db()
    assert (waiting.state, analysed.state) == ("failed", "done")
    assert waiting.error_detail


def test_admin_exports_selected_rows_without_formulas(admin_client: Client, anna: User) -> None:
    row = done(anna)
    Clip.objects.filter(pk=row.clip_id).update(name="=1+1.wav")
    answer = admin_client.post(
        "/admin/classifier/analysis/",
        {"action": "export_csv", "_selected_action": [str(row.pk)]},
    )
    header, line = answer.getvalue().decode().splitlines()
    assert header.startswith("analysis,clip,owner,state,label")
    assert "'=1+1.wav" in line
    assert ",dog,0.9," in line


def test_admin_deletes_analyses_clips_and_users(admin_client: Client, anna: User) -> None:
    for address in ("analysis", "clip"):
        row = done(anna)
        pk = row.pk if address == "analysis" else row.clip_id
        admin_client.post(f"/admin/classifier/{address}/{pk}/delete/", {"post": "yes"})
        assert not Analysis.objects.filter(pk=row.pk).exists()
    admin_client.post(f"/admin/auth/user/{anna.pk}/delete/", {"post": "yes"})
    assert not User.objects.filter(pk=anna.pk).exists()


def test_only_staff_see_the_strip_of_another_user(visitor: Client, ben: User) -> None:
    row = done(ben)
    answer = visitor.get(f"/admin/classifier/analysis/{row.pk}/strip.png")
    assert answer.status_code == 302
    assert "/admin/login/" in answer["Location"]


def test_admin_search_matches_parts_of_names_hash_prefixes_and_full_user_names(
    admin_client: Client, anna: User, ben: User
) -> None:
    hers, his = done(anna), done(ben)
    Clip.objects.filter(pk=his.clip_id).update(name="annas garden.wav", sha256="ab12" * 16)

    def found(term: str, kind: str = "analysis") -> set[str]:
        page = admin_client.get(f"/admin/classifier/{kind}/", {"q": term}).content.decode()
        rows = {"hers": hers, "his": his}
        pk = "pk" if kind == "analysis" else "clip_id"
        return {name for name, row in rows.items() if f"{getattr(row, pk)}/change" in page}

    for kind in ("analysis", "clip"):
        assert found("anna", kind) == {"hers"}
        assert found("NNAS", kind) == {"his"}
        assert found("AB12ab", kind) == {"his"}
        assert found("be", kind) == set()
        assert found("ben", kind) == {"his"}


def test_admin_day_links_filter_the_rows_of_that_day(admin_client: Client, anna: User) -> None:
    times = {
        "first": datetime(2024, 12, 31, 23, 59, tzinfo=UTC),
        "second": datetime(2026, 2, 3, tzinfo=UTC),
        "third": datetime(2026, 2, 28, 12, tzinfo=UTC),
    }
    rows = {name: done(anna) for name in times}
    for name, row in rows.items():
        Analysis.objects.filter(pk=row.pk).update(created_at=times[name])
    page = admin_client.get(LISTED)
    assertContains(page, "?created_at__year=2024")
    assertContains(page, "?created_at__year=2026")
    assertNotContains(page, "?created_at__year=2025")
    year = admin_client.get(f"{LISTED}?created_at__year=2026")
    assertContains(year, "February 2026")
    assertNotContains(year, "January 2026")
    assertNotContains(year, rows["first"].pk)
    month = admin_client.get(f"{LISTED}?created_at__year=2026&created_at__month=2")
    for day, there in (("3 February", True), ("28 February", True), ("4 February", False)):
        (assertContains if there else assertNotContains)(month, f">{day}<")
    of_day = admin_client.get(
        f"{LISTED}?created_at__year=2026&created_at__month=2&created_at__day=28&label=dog"
    )
    assertContains(of_day, rows["third"].pk)
    assertNotContains(of_day, rows["second"].pk)
    assertContains(of_day, "?created_at__month=2&amp;created_at__year=2026&amp;label=dog")
    assert admin_client.get(f"{LISTED}?created_at__year=soon").status_code == 302


def test_admin_shows_the_storage_of_each_user_with_links(
    admin_client: Client, anna: User, ben: User
) -> None:
    for _ in range(3):
        done(anna)
    queued(anna, state=State.FAILED, error_code="damaged")
    batches.create(anna, "field trip")
    Clip.objects.update(size_bytes=1_000_000)
    for address in ("/admin/auth/user/", f"/admin/auth/user/{anna.pk}/change/"):
        page = admin_client.get(address)
        for kind, query, count in (
            ("clip", "", 4),
            ("analysis", "", 4),
            ("analysis", "&state__exact=failed", 1),
            ("batch", "", 1),
        ):
            link = f"/admin/classifier/{kind}/?owner={anna.pk}{query}"
            assertContains(page, f'<a href="{link}">{count}</a>', html=True)
            assert admin_client.get(link).context["cl"].result_count == count
        assertContains(page, "3.8\xa0MB")
    assertContains(admin_client.get(f"/admin/auth/user/{ben.pk}/change/"), "0\xa0bytes")


def test_admin_shows_the_outcome_of_each_file_of_a_batch(
    admin_client: Client, batch: Batch
) -> None:
    failed, analysed = BatchFile.objects.order_by("path")[:2]
    Analysis.objects.filter(batch_files=failed).update(
        state=State.FAILED, error_code="damaged", error_detail="It stops after 0.4 s."
    )
    Analysis.objects.filter(batch_files=analysed).update(state=State.DONE, label="dog")
    batch.files.create(path="x", outcome=FileOutcome.REFUSED, detail="The file is empty.")
    page = admin_client.get("/admin/classifier/batch/?q=TRIP")
    (row,) = page.context["cl"].result_list
    assert (row.totals.total, row.totals.done, row.totals.waiting) == (4, 1, 1)
    files = f"/admin/classifier/batchfile/?batch={batch.pk}"
    assertContains(page, f'<a href="{files}">4</a>', html=True)
    for query, path, said in (
        ("&outcome=accepted&analysis__state=failed", failed.path, "It stops after 0.4 s."),
        ("&outcome=accepted&analysis__state=done", analysed.path, f"{analysed.analysis_id}/change"),
        ("&outcome=refused", "x", "The file is empty."),
    ):
        assertContains(page, f'<a href="{files}{query}">1</a>', html=True)
        shown = admin_client.get(files + query)
        assert [file.path for file in shown.context["cl"].result_list] == [path]
        assertContains(shown, said)
    detail = admin_client.get(f"/admin/classifier/batch/{batch.pk}/change/")
    assertContains(detail, "4 total, 1 done, 1 waiting, 1 failed, 1 refused")
    assertContains(admin_client.get("/admin/classifier/batch/?state=open"), batch.pk)
    assertNotContains(admin_client.get("/admin/classifier/batch/?state=cancelled"), batch.pk)
    assertNotContains(admin_client.get("/admin/classifier/batch/?q=nothing"), batch.pk)


def test_admin_retries_and_cancels_a_batch(admin_client: Client, batch: Batch) -> None:
    Analysis.objects.update(state=State.FAILED, error_code="crashed")

    def act(name: str) -> str:
        return admin_client.post(
            "/admin/classifier/batch/",
            {"action": name, "_selected_action": [str(batch.pk)]},
            follow=True,
        ).content.decode()

    assert "3 failed files will be retried." in act("retry_failed")
    assert batches.totals(batch).waiting == 3
    assert "3 waiting files were cancelled." in act("cancel")
    assert batches.totals(batch).cancelled == 3
    assert "Cancelled batches were not changed." in act("retry_failed")
    assert Analysis.objects.filter(state=State.QUEUED).count() == 0


def test_admin_lists_what_a_deletion_removes_and_checks_permission(
    admin_client: Client, batch: Batch, ben: User
) -> None:
    person = f"/admin/auth/user/{batch.owner_id}/delete/"
    page = admin_client.get(person)
    for line in ("Clips: 3", "Analyses: 3", "Batches: 1"):
        assertContains(page, line)
    ben.is_staff = True
    ben.save()
    ben.user_permissions.set(Permission.objects.filter(codename__in=("delete_user", "view_user")))
    client = Client()
    client.force_login(ben)
    assertContains(client.get(person), "doesn't have permission to delete", html=False)
    client.post(person, {"post": "yes"})
    assert Batch.objects.filter(pk=batch.pk).exists()
    page = admin_client.get(f"/admin/classifier/batch/{batch.pk}/delete/")
    assertContains(page, "its clips that are not in any other batch")
    admin_client.post(f"/admin/classifier/batch/{batch.pk}/delete/", {"post": "yes"})
    assert not Batch.objects.exists()
    assert not Analysis.objects.exists()


def test_admin_pings_the_workers_after_the_page_has_loaded(
    admin_client: Client, visitor: Client
) -> None:
    assertContains(admin_client.get("/admin/"), 'hx-get="/admin/classifier/analysis/workers/"')
    assert visitor.get("/admin/classifier/analysis/workers/").status_code == 302
