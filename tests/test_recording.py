"""Recording on the Upload page: record, play, discard and send, or show why it is impossible."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.server import Person, Server, wait_for
from tests.watch import Watch

PLAYED = "document.querySelector('audio').currentTime > 0.2"
COLLECT_TRACKS = """() => {
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.tracks = [];
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await ask(wanted);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
}"""


@pytest.fixture
def person(server: Server) -> Person:
    return server.person()


@pytest.fixture
def context(browser: Browser, person: Person) -> Iterator[BrowserContext]:
    context = browser.new_context()
    person.sign_in(context)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, person: Person) -> Iterator[Page]:
    """The Upload page, which must not report errors."""
    context.grant_permissions(["microphone"])
    page = context.new_page()
    watch = Watch(page, urlsplit(person.server.url).netloc)
    page.goto(person.server.url)
    yield page
    assert watch.faults == []


def test_a_sound_is_recorded_played_and_sent_with_the_keyboard(page: Page, person: Person) -> None:
    page.get_by_role("button", name="Record").focus()
    page.keyboard.press("Enter")
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_focused()
    expect(page.get_by_role("timer")).to_have_text(re.compile("0:0[2-9]"))
    page.keyboard.press("Enter")
    expect(page.locator("audio")).to_be_focused()
    page.keyboard.press("Space")
    wait_for(lambda: page.evaluate(PLAYED), 10, "the recording's sound")
    page.get_by_role("button", name="Send").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".predictions").first.locator("li")).to_have_count(5, timeout=60_000)
    (row,) = person.get("/api/v1/analyses/").json()["results"]
    assert row["name"].startswith("recording-20") and row["name"].endswith(".webm")
    assert 1.5 < row["duration_s"] < 10
    clip = person.get(f"/api/v1/clips/{row['clip']}/").json()
    assert clip["format"] == "WebM"


def test_a_discarded_recording_is_not_sent_and_the_microphone_is_released(
    page: Page, person: Person
) -> None:
    page.evaluate(COLLECT_TRACKS)
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("timer")).to_have_text(re.compile("0:0[1-9]"))
    assert page.evaluate("tracks.map(track => track.readyState)") == ["live"]
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Discard")).to_be_visible()
    assert page.evaluate("tracks.map(track => track.readyState)") == ["ended"]
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("button", name="Record")).to_be_focused()
    expect(page.locator("sono-record [role=status]")).to_have_text("Discarded.")
    expect(page.locator(".row")).to_have_count(0)
    assert person.get("/api/v1/clips/").json()["results"] == []


def test_recording_stops_at_the_maximum_duration(page: Page, person: Person) -> None:
    def shorter(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=response.text().replace('most-s="600"', 'most-s="2"'))

    page.route(f"{person.server.url}/", shorter)
    page.reload()
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert page.evaluate("document.querySelector('audio').src.startsWith('blob:')")


def test_a_refused_microphone_shows_an_error_and_can_be_allowed_later(
    context: BrowserContext, page: Page
) -> None:
    context.clear_permissions()
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("alert").filter(has_text="was denied")).to_be_visible()
    context.grant_permissions(["microphone"])
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize(
    ("name", "said"),
    [("NotFoundError", "No microphone was found"), ("NotReadableError", "Another program")],
)
def test_a_missing_or_busy_microphone_shows_an_error(page: Page, name: str, said: str) -> None:
    page.evaluate(
        "name => navigator.mediaDevices.getUserMedia = async () => "
        "{ throw new DOMException('', name) }",
        name,
    )
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("alert").filter(has_text=said)).to_be_visible()
    expect(page.get_by_role("button", name="Record")).to_be_enabled()


def test_over_http_the_page_explains_why_recording_is_unavailable(
    context: BrowserContext, person: Person
) -> None:
    page = context.new_page()
    page.add_init_script(
        "Object.defineProperty(window, 'isSecureContext', { value: false });"
        "delete Navigator.prototype.mediaDevices;"
    )
    page.goto(person.server.url)
    expect(page.get_by_text("only on https:// pages")).to_be_visible()
    expect(page.get_by_role("button", name="Record")).to_have_count(0)
    expect(page.get_by_text("Choose files")).to_be_visible()
