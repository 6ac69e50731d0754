"""Several installed checkpoints and a real worker: each clip gets the requested checkpoint."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, expect

from ml import checkpoint_info
from tests import fixtures
from tests.checkpoints import header_only, shipped_copy
from tests.server import Person, Server
from tests.test_browser import sign_up

# The same weights with this temperature, so that a prediction shows which checkpoint made it.
MODEST = 6.0
OWN = checkpoint_info.read_info(checkpoint_info.SHIPPED).temperature
SOUNDS = [fixtures.encode(fixtures.chirp(300 + 400 * n, 6000, 2.0)) for n in range(5)]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("two"))
    shipped_copy(server.data / "checkpoints" / "modest.safetensors", temperature=MODEST)
    server.open()
    yield server
    server.close()


@pytest.fixture(scope="module")
def greta(two: Server) -> Person:
    return two.person()


def submit(person: Person, data: bytes, checkpoint: str = "", status: int = 202) -> str:
    """Upload a file and return the URL of its analysis."""
    response = requests.post(
        f"{person.server.url}/api/v1/clips/",
        headers=person.headers,
        data={"checkpoint": checkpoint} if checkpoint else {},
        files={"file": ("x.wav", data)},
        timeout=60,
    )
    assert response.status_code == status, response.text
    return response.headers.get("Location", "")


def test_each_clip_of_a_mixed_queue_gets_the_requested_checkpoint(
    two: Server, greta: Person
) -> None:
    names = {row["checkpoint"].partition("@")[0]: row["checkpoint"]
             for row in greta.get("/api/v1/checkpoints/").json()["results"]}  # fmt: skip
    assert set(names) == {"esc50-folds1234", "esc50-folds123", "modest"}
    with two.paused("worker"):
        sent = {
            (number, name): submit(greta, data, name)
            for number, data in enumerate(SOUNDS)
            for name in ("", "modest")
        }
        made = requests.post(
            f"{two.url}/api/v1/batches/",
            json={"name": "trip", "checkpoint": names["modest"]}, headers=greta.headers, timeout=30,
        )  # fmt: skip
        own = fixtures.encode(fixtures.noise(1.0, seed=3))
        for path, data in (("own.wav", own), ("known.wav", SOUNDS[0])):
            requests.post(
                f"{two.url}{made.headers['Location']}files/",
                headers=greta.headers, data={"path": path}, files={"file": data}, timeout=30,
            ).raise_for_status()  # fmt: skip

    for number in range(len(SOUNDS)):
        plain, modest = (greta.wait(sent[number, name]) for name in ("", "modest"))
        assert plain["checkpoint"] == names["esc50-folds1234"]
        assert modest["checkpoint"] == names["modest"]
        assert plain["label"] == modest["label"]
        one, other = (row["predictions"] for row in (plain, modest))
        # Another temperature raises every ratio of confidences to a power.
        ratio = one[0]["confidence"] / one[1]["confidence"]
        shown = other[0]["confidence"] / other[1]["confidence"]
        assert shown == pytest.approx(ratio ** (OWN / MODEST), rel=0.02)

    files = greta.get(f"{made.headers['Location']}results.json").json()["files"]
    for file in files:
        payload = greta.wait(f"/api/v1/analyses/{file['analysis']}/")
        assert (payload["state"], payload["checkpoint"]) == ("done", names["modest"]), file["path"]
    outcomes = {file["path"]: file["outcome"] for file in files}
    assert outcomes == {"own.wav": "accepted", "known.wav": "duplicate"}

    page = greta.page("/models/").text
    for identity in names.values():
        assert identity in page
    assert 'href="/models/#modest"' in greta.page(f"/analyses/{modest['id']}/").text


def test_a_user_chooses_a_checkpoint_on_the_page(
    two: Server, browser: Browser, tmp_path: Path
) -> None:
    page = browser.new_page()
    sign_up(page, two, "ida")
    page.get_by_text("Advanced").click()
    page.get_by_label("Model").select_option("modest")
    page.get_by_role("button", name="Siren").click()
    expect(page.locator("#result")).to_have_attribute("data-state", "done", timeout=60_000)
    page.get_by_role("link", name="(modest)").click()
    expect(page.locator("#modest")).to_be_in_viewport()
    page.goto(f"{two.url}/batches/new/")
    page.get_by_text("Advanced").click()
    page.get_by_label("Model").select_option("modest")
    (tmp_path / "a.wav").write_bytes(SOUNDS[1])
    page.set_input_files("#folder", tmp_path)
    page.get_by_role("button", name="Send 1 file").click()
    expect(page.locator(".row.done")).to_have_count(1, timeout=60_000)
    expect(page.get_by_role("link", name="(modest)")).to_be_visible()
    page.close()


def test_a_removed_checkpoint_fails_its_clips_and_no_others(
    two: Server, greta: Person, tmp_path: Path
) -> None:
    file = shipped_copy(two.data / "checkpoints" / "passing.safetensors", notes=["Soon gone."])
    data = fixtures.encode(fixtures.noise(1.0, seed=11))
    with two.paused("worker"):
        asked, plain = submit(greta, data, "passing"), submit(greta, data)
        file.rename(tmp_path / file.name)
    assert greta.wait(plain)["state"] == "done"
    failed = greta.wait(asked)
    assert failed["error"]["code"] == "checkpoint_missing"
    assert "passing@" in failed["error"]["detail"]
    assert "no longer installed" in failed["error"]["detail"]
    assert failed["checkpoint"].startswith("passing@")
    assert failed["checkpoint_page"] is None
    assert "no longer installed" in greta.page(f"/analyses/{failed['id']}/").text

    page = greta.post_page(f"/analyses/{failed['id']}/again/", checkpoint="modest")
    again = greta.wait(f"/api/v1/analyses/{page.url.rstrip('/').rpartition('/')[2]}/")
    assert (again["state"], again["checkpoint"][:7]) == ("done", "modest@")
    submit(greta, data, "passing", status=400)


def test_a_checkpoint_that_cannot_be_loaded_fails_its_clips_and_no_others(
    two: Server, greta: Person
) -> None:
    file = header_only(two.data / "checkpoints" / "hollow.safetensors")
    data = fixtures.encode(fixtures.noise(1.0, seed=12))
    asked, plain = submit(greta, data, "hollow"), submit(greta, data, "modest")
    failed = greta.wait(asked)
    assert failed["error"]["code"] == "checkpoint_missing"
    assert "cannot be used" in failed["error"]["detail"]
    assert greta.wait(plain)["state"] == "done"
    assert "does not match the network" in two.log("worker")
    file.unlink()
