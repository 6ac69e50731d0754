"""Answers are corrected in a real browser, with the keys and without scripts."""

import csv
import io
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

from tests import fixtures
from tests.result_page import show
from tests.server import ROOT, Person, Server
from tests.watch import Watch


@pytest.fixture(scope="module")
def person(server: Server) -> Person:
    return server.person()


@pytest.fixture
def page(browser: Browser, server: Server, person: Person) -> Iterator[Page]:
    """A page that must not report errors."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    person.sign_in(context)
    page = context.new_page()
    watch = Watch(page, urlsplit(server.url).netloc)
    yield page
    assert watch.faults == []
    context.close()


@pytest.fixture(scope="module")
def clip(person: Person) -> dict:
    siren = (ROOT / "webapp/samples/siren.flac").read_bytes()
    return person.wait(person.submit("siren.flac", siren))


@pytest.fixture(scope="module")
def recording(person: Person) -> dict:
    """A siren between noise."""
    siren, rate_hz = soundfile.read(ROOT / "webapp/samples/siren.flac", dtype="float32")
    quiet = fixtures.noise(4.0, rate_hz, level=0.01)
    sound = np.concatenate([quiet, siren, quiet])
    found = person.wait(person.submit("street.flac", fixtures.encode(sound, rate_hz, "FLAC")))
    assert found["event_count"]
    return found


def test_a_clip_is_corrected_by_keys(
    page: Page, server: Server, person: Person, clip: dict
) -> None:
    show(page, server, clip)
    dialog, judgement = page.get_by_role("dialog"), page.locator("#judgement")
    page.keyboard.press("n")
    expect(dialog.get_by_role("combobox")).to_be_focused()
    # At once, while the field of the closed list still has the focus.
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.keyboard.type("rocket")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("No such class. Choose “None of these”")
    dialog.get_by_role("combobox").clear()
    page.keyboard.type("roos")
    expect(dialog.get_by_role("option")).to_have_text(["Rooster"])
    page.keyboard.press("Enter")
    expect(judgement).to_contain_text("You said: Rooster")
    expect(dialog).to_be_hidden()
    said = person.get(f"/api/v1/analyses/{clip['id']}/").json()["judgement"]
    assert (said["label"], said["right"], said["by"]) == ("rooster", False, person.name)
    page.goto(f"{server.url}/history/?judged=wrong")
    expect(page.locator(".row")).to_have_count(1)
    expect(page.locator(".row")).to_contain_text("it is: rooster")
    page.goto(f"{server.url}/checked/")
    expect(page.locator(".precision tbody tr")).to_contain_text("Rooster")
    show(page, server, clip)
    # Not by a route, which would report an error on the console.
    page.evaluate("() => { sent = fetch; fetch = async () => new Response(null, {status: 503}); }")
    page.keyboard.press("y")
    expect(judgement.get_by_role("alert")).to_contain_text("This could not be saved")
    page.evaluate("() => { fetch = sent; }")
    page.keyboard.press("y")
    expect(judgement).to_contain_text("You said: Siren")
    expect(judgement.get_by_role("alert")).to_have_count(0)
    judgement.get_by_role("button", name="Remove").press("Enter")
    expect(judgement.get_by_role("button", name="Yes")).to_be_focused()


def test_an_event_is_corrected_by_keys(
    page: Page, server: Server, person: Person, recording: dict
) -> None:
    show(page, server, recording)
    row = page.locator(".event").first
    page.keyboard.press("/")
    page.keyboard.press("Enter")
    expect(row.locator("a.what")).to_be_focused()
    page.keyboard.press("y")
    expect(row).to_contain_text("checked")
    page.keyboard.press("n")
    page.keyboard.type("car")
    page.keyboard.press("Enter")
    expect(row).to_contain_text("it is: car horn")
    expect(row.locator("a.what")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#opened .judgement")).to_contain_text("You said: Car horn")
    path = f"/api/v1/analyses/{recording['id']}/events/?format=csv"
    rows = list(csv.DictReader(io.StringIO(person.get(path).text)))
    assert [one["judged_label"] for one in rows if one["judged_at"]] == ["car_horn"]


def test_a_clip_is_corrected_without_scripts(
    browser: Browser, server: Server, person: Person, clip: dict
) -> None:
    context = browser.new_context(java_script_enabled=False)
    person.sign_in(context)
    page = context.new_page()
    page.goto(f"{server.url}/analyses/{clip['id']}/")
    page.get_by_role("link", name=re.compile("No…|Change")).click()
    page.get_by_label("Class").select_option(label="Knocking on a door")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#judgement")).to_contain_text("You said: Knocking on a door")
    context.close()
