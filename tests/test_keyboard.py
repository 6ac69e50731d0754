"""The main tasks with the keyboard alone, and the keyboard shortcuts."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, FileChooser, Locator, Page, expect

from tests import fixtures
from tests.server import PASSWORD, Person, Server, wait_for
from tests.watch import Watch

MAX_TABS = 40


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A page that must not report errors."""
    context = browser.new_context()
    page = context.new_page()
    watch = Watch(page, urlsplit(server.url).netloc)
    yield page
    assert watch.faults == []
    context.close()


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until the element has a visible focus."""
    for _ in range(MAX_TABS):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            assert wanted.evaluate("element => element.matches(':focus-visible')")
            return
    raise AssertionError(f"{wanted} did not get the focus after {MAX_TABS} tabs")


def sign_in(page: Page, person: Person) -> None:
    page.goto(f"{person.server.url}/account/sign-in/")
    expect(page.get_by_label("Username")).to_be_focused()
    page.keyboard.type(person.name)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("What is that sound?")


def test_a_file_is_chosen_opened_and_played(server: Server, page: Page, tmp_path: Path) -> None:
    sound = tmp_path / "gate.wav"
    sound.write_bytes(fixtures.encode(fixtures.chirp(300, 4000, 3.0)))
    sign_in(page, server.person())
    tab_to(page, page.locator("#file"))
    chosen: list[FileChooser] = []
    page.on("filechooser", lambda chooser: chosen.append(chooser))

    def opened() -> bool:
        # On a busy machine the browser sometimes drops a key, so it is pressed again.
        page.keyboard.press("Enter")
        page.wait_for_timeout(1000)
        return bool(chosen)

    wait_for(opened, 30, "the file chooser")
    chosen[0].set_files(sound)
    expect(page.locator("#result")).to_have_attribute("data-state", "done", timeout=60_000)
    play = page.get_by_role("button", name="Play", exact=True)
    expect(play).to_be_enabled()
    tab_to(page, play)
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_a_sample_is_analysed_with_one_key(server: Server, page: Page) -> None:
    sign_in(page, server.person())
    tab_to(page, page.get_by_role("button", name="Siren"))
    page.keyboard.press("Space")
    expect(page.locator("#result")).to_have_attribute("data-state", "done", timeout=60_000)


def test_j_and_k_move_through_the_history_and_enter_opens_a_result(
    server: Server, page: Page
) -> None:
    person = server.person()
    for seed, name in enumerate(("first.wav", "second.wav", "third.wav")):
        data = fixtures.encode(fixtures.noise(1.0, seed=seed))
        person.wait(person.submit(name, data))
    sign_in(page, person)
    page.goto(f"{server.url}/history/")
    rows = page.locator(".row a.what")
    page.keyboard.press("j")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(rows.nth(2)).to_be_focused()
    page.keyboard.press("k")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_title(re.compile("second.wav"))


def test_slash_focuses_the_filter_and_question_mark_shows_the_shortcuts(
    server: Server, page: Page
) -> None:
    person = server.person()
    person.wait(person.submit("owl?.wav", fixtures.encode(fixtures.tone())))
    sign_in(page, person)
    page.goto(f"{server.url}/history/")
    keys = page.get_by_role("dialog", name="Keyboard shortcuts")
    page.keyboard.press("?")
    expect(keys).to_be_visible()
    page.keyboard.press("j")  # has no effect while the dialog is open
    expect(keys.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("owl?")
    expect(page.get_by_label("Name contains")).to_have_value("owl?")
    expect(keys).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.locator(".row")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"name=owl%3F"))
