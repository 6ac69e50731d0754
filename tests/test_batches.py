"""Batches by command, API and page: the same totals on page, API, CSV and in the database."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, Route, expect

from classifier.services.dispatch import MAX_BULK_MESSAGES
from ml.file_names import is_hidden, is_other, original_of
from tests import fixtures
from tests.server import ROOT, Person, Server, wait_for

GOOD = 34
EXPECTED = {
    "total": 40, "done": GOOD, "running": 0, "waiting": 0, "failed": 3, "cancelled": 0,
    "refused": 1, "duplicate": 2,
}  # fmt: skip
LEFT_OUT = "3 other files are left out (hidden, or no audio by their names)"
PLAN = re.compile(r"^40 files in field trip: 39 sounds \(.* MB\) and 1 refused$")
# A slow connection, so that the upload can be interrupted halfway.
SLOW = {"latency": 60, "downloadThroughput": -1, "uploadThroughput": 600_000}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """34 sounds, 2 duplicates, 3 files without audio, 1 empty file, and 3 that are left out."""
    folder = tmp_path_factory.mktemp("folders") / "field trip"
    places = [folder / name for name in ("morning", "morning/pond", "evening")]
    for place in places:
        place.mkdir(parents=True)
    for number in range(GOOD):
        sound = 0.4 * fixtures.noise(1.5, seed=number) + fixtures.chirp(
            200 + 90 * number, 5000, 1.5
        )
        path = places[number % 3] / f"rec {number:02}.flac"
        path.write_bytes(fixtures.encode(sound, form="FLAC"))
    shutil.copy(folder / "morning" / "rec 00.flac", folder / "twin.flac")
    shutil.copy(folder / "morning" / "rec 00.flac", folder / "=twin.flac")
    (folder / "evening" / "notes.wav").write_bytes(b"these are notes, not sounds")
    (folder / "evening" / "cut.wav").write_bytes(fixtures.encode(fixtures.tone())[:30])
    (folder / "evening" / "archive.zip").write_bytes(zipped(folder / "morning" / "pond"))
    (folder / "empty.wav").touch()
    (folder / ".DS_Store").write_bytes(b"hidden")
    for name in ("notes.txt", "evening/map.JPG"):
        (folder / name).write_bytes(b"left out by its name")
    return folder


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def submit_folder(server: Server, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", "submit_folder", *arguments],
        cwd=ROOT, env=server.env, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def finished(person: Person, batch: str) -> dict[str, Any]:
    payload: dict[str, Any] = {}

    def no_file_is_unfinished() -> bool:
        payload.update(person.get(f"/api/v1/batches/{batch}/").json())
        return payload["totals"]["waiting"] + payload["totals"]["running"] == 0

    wait_for(no_file_is_unfinished, 120, "the batch")
    return payload


def check_numbers(server: Server, person: Person, batch: str) -> None:
    """Page, API, CSV and database have the expected totals, and no file appears twice."""
    assert finished(person, batch)["totals"] == EXPECTED
    page = person.page(f"/batches/{batch}/").text
    for name, count in EXPECTED.items():
        shown = f'data-total="{name}">{count}<' if count else f'data-total="{name}"'
        assert name == "total" or (shown in page) == bool(count), name

    sheet = person.get(f"/api/v1/batches/{batch}/results.csv").content.decode()
    rows = list(csv.DictReader(io.StringIO(sheet)))
    exported = person.get(f"/api/v1/batches/{batch}/results.json").json()
    assert exported["totals"] == EXPECTED
    assert [row["analysis"] or None for row in rows] == [f["analysis"] for f in exported["files"]]
    found = Counter(
        row["state"] if row["outcome"] == "accepted" else row["outcome"] for row in rows
    )
    assert found == {name: n for name, n in EXPECTED.items() if n and name != "total"}
    assert len({row["path"] for row in rows}) == EXPECTED["total"]

    code = (
        "from classifier.models import Analysis, Clip; import json; "
        f"mine = dict(owner__username='{person.name}'); "
        "print(json.dumps([Analysis.objects.filter(state=s, **mine).count() "
        "for s in ('done', 'failed')] + [Clip.objects.filter(**mine).count()]))"
    )
    counted = json.loads(server.manage("shell", "--no-imports", "-c", code).splitlines()[-1])
    assert counted == [GOOD, 3, GOOD + 3]


def test_the_command_submits_a_folder_and_a_second_run_changes_nothing(
    server: Server, folder: Path
) -> None:
    person = server.person()
    done = submit_folder(server, str(folder), "--user", person.name, "--wait", "--json")
    assert done.returncode == 1, done.stderr  # three failed and one was refused
    assert "file/s" in done.stderr
    summary = json.loads(done.stdout)
    assert summary["totals"] == EXPECTED
    assert sum(summary["labels"].values()) == GOOD
    check_numbers(server, person, summary["batch"])

    again = submit_folder(server, str(folder), "--user", person.name, "--wait", "--json")
    assert json.loads(again.stdout) == summary
    check_numbers(server, person, summary["batch"])


def test_command_api_and_page_say_that_no_worker_answers(server: Server, tmp_path: Path) -> None:
    person = server.person()
    (tmp_path / "one.wav").write_bytes(fixtures.encode(fixtures.noise(1.0, seed=940)))
    with server.paused("worker"):
        command = subprocess.Popen(
            [sys.executable, "manage.py", "submit_folder", str(tmp_path), "--user", person.name,
             "--wait"],
            cwd=ROOT, env=server.env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert command.stderr
        lines = []
        for line in command.stderr:
            lines.append(line)
            if "No worker is responding" in line:
                break
        assert "No worker is responding" in lines[-1], "".join(lines)
        assert "make run" in lines[-1]
        batch = person.get("/api/v1/batches/").json()["results"][0]["id"]
        analysis = person.get("/api/v1/analyses/").json()["results"][0]["id"]
        for address in (f"/api/v1/batches/{batch}/", f"/api/v1/analyses/{analysis}/"):
            assert person.get(address).json()["notice"]["code"] == "no_worker"
        assert "No worker is responding" in person.page(f"/batches/{batch}/").text
        assert "No worker is responding" in person.page(f"/analyses/{analysis}/").text
    command.communicate(timeout=120)
    assert command.returncode == 0
    assert person.get(f"/api/v1/batches/{batch}/").json()["notice"] is None


def test_the_api_accepts_every_file_once_when_each_is_sent_twice(
    server: Server, folder: Path
) -> None:
    person = server.person()
    made = requests.post(
        f"{server.url}/api/v1/batches/",
        json={"name": "by API"},
        headers=person.headers,
        timeout=30,
    )
    batch = made.json()["id"]

    def send(path: Path) -> int:
        response = requests.post(
            f"{server.url}/api/v1/batches/{batch}/files/",
            headers=person.headers,
            files={"file": (path.name, path.read_bytes())},
            data={"path": str(path.relative_to(folder))},
            timeout=60,
        )
        return response.status_code

    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    paths = [p for p in files if not is_hidden(p.name) and not is_other(p.name)]
    with ThreadPoolExecutor(6) as pool:
        codes = Counter(pool.map(send, [path for path in paths for _ in (1, 2)]))
    assert set(codes) == {200, 202}
    check_numbers(server, person, batch)


def test_deleting_a_batch_during_analysis_removes_all_rows_and_files(server: Server) -> None:
    person = server.person()
    kept = person.wait(person.submit("kept.wav", fixtures.encode(fixtures.noise(2.0, seed=900))))
    wait_for(lambda: not _unfinished(server), 120, "all other analyses")
    folders, clips = server.result_folders(), _clip_files(server)
    batch = requests.post(
        f"{server.url}/api/v1/batches/",
        json={"name": "away"},
        headers=person.headers,
        timeout=30,
    ).headers["Location"]
    for number in range(40):
        sound = fixtures.encode(fixtures.noise(2.0, seed=900 + number))
        requests.post(
            f"{server.url}{batch}files/",
            headers=person.headers,
            files={"file": (f"{number}.wav", sound)},
            timeout=60,
        ).raise_for_status()
    wait_for(lambda: person.get(batch).json()["totals"]["done"] > 0, 60, "the first result")
    deleted = requests.delete(server.url + batch, headers=person.headers, timeout=60)
    assert deleted.status_code == 204
    assert person.get(batch).status_code == 404
    assert [row["id"] for row in person.get("/api/v1/analyses/").json()["results"]] == [kept["id"]]
    # A worker may still be processing its chunk; its results are dropped.
    after = person.submit("after.wav", fixtures.encode(fixtures.noise(2.0, seed=990)))
    person.wait(after)
    wait_for(
        lambda: len(server.result_folders()) == len(folders) + 1, 60, "the worker's last chunk"
    )
    assert len(_clip_files(server)) == len(clips) + 1


def _unfinished(server: Server) -> int:
    code = (
        "from classifier.models import Analysis, UNFINISHED; "
        "print(Analysis.objects.filter(state__in=UNFINISHED).count())"
    )
    return int(server.manage("shell", "--no-imports", "-c", code).splitlines()[-1])


def _clip_files(server: Server) -> list[Path]:
    return sorted((server.data / "media" / "clips").glob("*/*"))


def signed_in(browser: Browser, person: Person) -> Page:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    person.sign_in(context)
    page = context.new_page()
    page.on("dialog", lambda dialog: dialog.accept())  # "Leave this page?"
    return page


def drop(page: Page, folder: Path) -> None:
    """Drop a folder on the page; Chromium lists it, not Playwright."""
    box = page.locator("[data-drop]").bounding_box()
    assert box
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    at = {"x": box["x"] + 40, "y": box["y"] + 40, "data": data}
    mouse = page.context.new_cdp_session(page)
    for type_ in ("dragEnter", "dragOver", "drop"):
        mouse.send("Input.dispatchDragEvent", {"type": type_, **at})


def sent_files(page: Page) -> int:
    found = re.match(r"(\d+) of", page.locator("[data-status]").inner_text())
    return int(found[1]) if found else 0


def test_a_folder_chosen_before_the_script_has_loaded_is_listed(
    server: Server, folder: Path, browser: Browser
) -> None:
    page = signed_in(browser, server.person())
    waiting: list[Route] = []
    page.route("**/batch*.js", lambda route: waiting.append(route))
    with page.expect_request("**/batch*.js"):
        page.goto(f"{server.url}/batches/new/", wait_until="commit")
    page.set_input_files("#folder", folder)
    waiting[0].continue_()
    expect(page.locator("[data-summary]")).to_have_text(PLAN)


def test_the_page_continues_an_upload_after_a_lost_connection_and_a_reload(
    server: Server, folder: Path, browser: Browser
) -> None:
    person = server.person()
    page = signed_in(browser, person)
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    page.goto(f"{server.url}/batches/new/")
    line.send("Network.emulateNetworkConditions", {"offline": False, **SLOW})
    page.set_input_files("#folder", folder)
    expect(page.locator("[data-summary]")).to_have_text(PLAN)
    expect(page.locator("[data-left-out] summary")).to_have_text(LEFT_OUT)
    page.locator("[data-left-out] summary").click()
    for shown in (
        ".DS_Store · hidden",
        "evening/map.JPG · no audio by its name",
        "notes.txt · no audio by its name",
    ):
        expect(page.locator("[data-left-out] li", has_text=shown)).to_be_visible()
    expect(page.locator("[data-send]")).to_have_text("Send 40 files")
    page.locator("[data-send]").click()

    wait_for(lambda: sent_files(page) >= 5, 30, "the first files")
    line.send("Network.emulateNetworkConditions", {"offline": True, **SLOW})
    expect(page.locator("[data-trouble]")).to_contain_text("The connection was lost.")
    expect(page.locator("[data-go-on]")).to_be_visible()
    cut_at = sent_files(page)
    assert cut_at < 30
    line.send("Network.emulateNetworkConditions", {"offline": False, **SLOW})
    # It may continue by itself before a real click arrives.
    page.evaluate("document.querySelector('[data-go-on]').click()")
    wait_for(lambda: sent_files(page) > cut_at + 4, 30, "some more files")

    page.reload()
    batch = page.url.rstrip("/").rsplit("/", 1)[1]
    line.send("Network.emulateNetworkConditions", {"offline": False, **SLOW})
    page.set_input_files("#folder", folder)
    expect(page.locator("[data-skipped]")).to_contain_text("already in the batch")
    assert "39 sounds" not in page.locator("[data-summary]").inner_text()
    page.locator("[data-send]").click()
    expect(page.locator("sono-folder")).to_have_count(0, timeout=60_000)  # closed by now
    expect(page.locator("#batch:not([hx-get])")).to_have_count(1, timeout=120_000)
    expect(page.locator("[data-total=done]")).to_have_text(str(GOOD))
    check_numbers(server, person, batch)
    page.context.close()


def test_a_dropped_folder_is_listed_before_anything_is_sent(
    server: Server, folder: Path, browser: Browser
) -> None:
    page = signed_in(browser, server.person())
    page.goto(f"{server.url}/batches/new/")
    drop(page, folder)
    expect(page.locator("[data-summary]")).to_have_text(PLAN)
    page.locator("[data-ready] summary").click()
    expect(page.locator("[data-ready] li", has_text="morning/pond/rec 01.flac")).to_be_visible()
    expect(page.locator("[data-refused] li")).to_have_text("empty.wavThe file is empty.")
    page.goto(f"{server.url}/batches/")
    expect(page.locator(".batch-row")).to_have_count(0)
    page.context.close()


def test_the_page_keeps_names_and_reports_those_that_are_not_unicode(
    server: Server, browser: Browser, tmp_path: Path
) -> None:
    person = server.person()
    page = signed_in(browser, person)
    names = [
        "narrow\u202fno-break.wav", "か\u3099.wav", "👩\u200d🎤.wav", "two\nlines.wav", "50%25.wav",
    ]  # fmt: skip
    folder = tmp_path / "odd"
    folder.mkdir()
    for number, name in enumerate([*names, os.fsdecode(b"\xe9.wav"), os.fsdecode(b"\xe8.wav")]):
        (folder / name).write_bytes(fixtures.encode(fixtures.noise(1.0, seed=970 + number)))
    page.goto(f"{server.url}/batches/new/")
    drop(page, folder)
    expect(page.locator("[data-summary]")).to_have_text(
        re.compile("7 files in .*: 5 sounds .* and 2 refused")
    )
    expect(page.locator("[data-refused] li", has_text="it is not Unicode")).to_have_count(2)
    page.locator("[data-send]").click()
    expect(page.locator("#batch")).to_have_count(1, timeout=30_000)
    batch = page.url.rstrip("/").rsplit("/", 1)[1]
    files = person.get(f"/api/v1/batches/{batch}/results.json").json()["files"]
    assert {original_of(file["path"]) for file in files} == set(names)
    page.context.close()


def test_the_page_of_a_zip_updates_itself_and_failed_files_can_be_retried(
    server: Server, folder: Path, browser: Browser, tmp_path: Path
) -> None:
    person = server.person()
    page = signed_in(browser, person)
    path = tmp_path / "trip.zip"
    path.write_bytes(zipped(folder))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("twin.flac", b"other bytes")
    page.goto(f"{server.url}/batches/new/")
    page.set_input_files("#zip", path)
    page.get_by_role("button", name="Send the ZIP").click()
    expect(page.locator("[data-summary]")).to_have_text("1 file not added to the batch")
    expect(page.locator("[data-refused] li")).to_contain_text("twin.flacThe batch already has")
    expect(page.locator("[data-left-out] summary")).to_have_text(LEFT_OUT)
    page.get_by_role("link", name="Open the batch").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("trip")
    expect(page.locator("#batch:not([hx-get])")).to_have_count(1, timeout=120_000)
    batch = page.url.rstrip("/").rsplit("/", 1)[1]
    check_numbers(server, person, batch)
    expect(page.locator(".row.done")).to_have_count(GOOD + 2)

    page.locator(".row.done a.what").nth(1).click()
    first, list_of_sounds = page.url, page.get_by_role("navigation", name="The list of sounds")
    expect(list_of_sounds).to_contain_text("of 37")
    page.keyboard.press("j")
    expect(page).not_to_have_url(first)
    list_of_sounds.get_by_role("link", name="Previous").click()
    expect(page).to_have_url(first)
    list_of_sounds.get_by_role("link", name="Back to the list").click()

    expect(page.get_by_text("3 other files left out")).to_be_visible()
    page.get_by_role("link", name="evening/", exact=True).click()
    expect(page.locator("#folders-title + .trail")).to_contain_text("evening")
    expect(page.locator("#files .row", has_text="morning")).to_have_count(0)
    expect(page.locator("#files .row", has_text="evening/notes.wav")).to_be_visible()

    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    code = (
        "from classifier.models import BatchFile; "
        f"file = BatchFile.objects.get(batch='{batch}', path='evening/notes.wav'); "
        "file.analysis.error_code = 'crashed'; file.analysis.save()"
    )
    server.manage("shell", "--no-imports", "-c", code)
    page.reload()
    page.get_by_role("button", name="Retry 1 failed file").click()
    expect(page.locator("#batch:not([hx-get])")).to_have_count(1, timeout=60_000)
    assert finished(person, batch)["totals"] == EXPECTED

    def announced() -> bool:
        page.goto(f"{server.url}/history/")
        return page.get_by_text("has finished: 34 done, 3 failed").is_visible()

    wait_for(announced, 60, "the notice")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("has finished")).to_have_count(0)
    page.reload()
    expect(page.get_by_text("has finished")).to_have_count(0)
    page.context.close()


def test_single_sounds_finish_before_the_rest_of_the_bulk_work(
    server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}.wav").write_bytes(
            fixtures.encode(fixtures.noise(5.0, seed=100 + number))
        )
    bulk, single = server.person(), server.person()
    with server.paused("worker"):  # or it might finish before all files are queued
        done = submit_folder(server, str(folder), "--user", bulk.name, "--json")
        messages = server.broker().llen("bulk")
    assert messages == MAX_BULK_MESSAGES < 60, "a message for each file would only cost time"
    batch = json.loads(done.stdout)["batch"]
    for number in range(3):
        location = single.submit(
            "single.wav", fixtures.encode(fixtures.noise(3.0, seed=200 + number))
        )
        single.wait(location)
        if number == 0:
            totals = bulk.get(f"/api/v1/batches/{batch}/").json()["totals"]
            assert totals["waiting"] + totals["running"] > 0
    assert finished(bulk, batch)["totals"]["done"] == 60

    def moments(person: Person) -> list[list[datetime]]:
        code = (
            "from classifier.models import Analysis; import json; "
            f"rows = Analysis.objects.filter(owner__username='{person.name}'); "
            "print(json.dumps([[m.isoformat() for m in row] for row in "
            "rows.values_list('created_at', 'started_at', 'finished_at')]))"
        )
        rows = json.loads(server.manage("shell", "--no-imports", "-c", code).splitlines()[-1])
        return [[datetime.fromisoformat(moment) for moment in row] for row in rows]

    begun = sorted({started for _, started, _ in moments(bulk)})
    for created, _, ended in moments(single):
        # The row becomes visible a moment after its creation time.
        visible = created + timedelta(milliseconds=50)
        assert not [moment for moment in begun if visible < moment < ended]
