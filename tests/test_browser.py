"""The main tasks in a real browser, under the content security policy of the pages."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests import fixtures
from tests.server import PASSWORD, Person, Server, wait_for
from tests.watch import Watch


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context
    context.close()


@pytest.fixture
def sounds(tmp_path: Path) -> list[Path]:
    made = []
    for name, samples in (
        ("rising.wav", fixtures.chirp(300, 5000, 3.0)),
        ("hiss.wav", fixtures.noise(6.0)),
    ):
        path = tmp_path / name
        path.write_bytes(fixtures.encode(samples))
        made.append(path)
    return made


def signed_in(page: Page, server: Server) -> None:
    """Open the Upload page as a new user."""
    server.person().sign_in(page.context)
    page.goto(server.url)


def sign_up(page: Page, server: Server, name: str) -> None:
    page.goto(f"{server.url}/account/sign-up/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password", exact=False).first.fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.wait_for_load_state("load")  # the page's scripts have run


def test_two_files_are_uploaded_and_classified_and_one_is_played(
    server: Server, context: BrowserContext, sounds: list[Path]
) -> None:
    page = context.new_page()
    watch = Watch(page, urlsplit(server.url).netloc)
    sign_up(page, server, "carla")
    page.set_input_files("#file", sounds)

    expect(page.locator(".row")).to_have_count(2)
    expect(page.locator(".row.done")).to_have_count(2, timeout=60_000)
    assert sorted(page.locator(".row .name").all_inner_texts()) == ["hiss.wav", "rising.wav"]

    page.locator(".row", has_text="rising.wav").locator("a.what").click()
    expect(page.locator(".predictions").first.locator("li")).to_have_count(5)
    expect(page.locator(".station")).to_have_count(8)
    eager = "Array.from(document.images).filter(i => i.loading != 'lazy')"
    # Polled from here, because waiting inside the page would need `eval`.
    wait_for(lambda: page.evaluate(f"{eager}.every(i => i.naturalWidth)"), 20, "the pictures")

    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.locator("[data-clock]")).not_to_have_text("0.00 s")
    page.get_by_role("button", name="Pause").click()
    assert watch.faults == []


def test_a_single_sound_opens_its_page_which_updates_without_reload(
    server: Server, context: BrowserContext, sounds: list[Path]
) -> None:
    page = context.new_page()
    watch = Watch(page, urlsplit(server.url).netloc)
    signed_in(page, server)
    with server.paused("worker"):
        page.set_input_files("#file", sounds[:1])
        expect(page.get_by_role("heading", level=1)).to_have_text("Waiting")
        page.evaluate(
            "window.untouched = true; window.shifted = 0;"
            "new PerformanceObserver((list) => list.getEntries().forEach((entry) =>"
            " window.shifted += entry.value)).observe({ type: 'layout-shift' })"
        )
        page.get_by_role("button", name="Play", exact=True).click()
        expect(page.get_by_role("button", name="Pause")).to_be_focused()
        page.evaluate("current.media.loop = true")  # the worker may be slow
    expect(page.locator("#result")).to_have_attribute("data-state", "done", timeout=60_000)
    # The sound goes on, and the button that was used keeps the focus.
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    assert page.evaluate("current.playing && !current.media.paused")
    assert page.evaluate("window.untouched") is True
    assert page.evaluate("window.shifted") <= 0.05
    heading = page.get_by_role("heading", level=1).inner_text()
    expect(page).to_have_title(f"{heading} · {Path(sounds[0]).name} · Sonoscope")
    expect(page.locator("[data-announce]")).to_have_text(heading)
    page.go_back()
    expect(page.locator(".row.done a.what")).to_contain_text(heading)
    page.set_input_files("#file", sounds)
    expect(page.locator(".row")).to_have_count(3)
    page.go_forward()
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    expect(page.locator("header.bar")).to_be_visible()
    page.reload()
    expect(page.locator("#result")).to_have_attribute("data-state", "done")
    assert watch.faults == []


def test_signing_out_elsewhere_leads_to_the_sign_in_page(
    server: Server, context: BrowserContext, sounds: list[Path]
) -> None:
    page = context.new_page()
    signed_in(page, server)
    with server.paused("worker"):
        page.set_input_files("#file", sounds)
        expect(page.locator(".row.queued")).to_have_count(2)
        context.clear_cookies()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
        expect(page.locator("header.bar")).to_have_count(1)


def test_a_file_chosen_before_the_script_has_loaded_is_sent(
    server: Server, context: BrowserContext, sounds: list[Path]
) -> None:
    page = context.new_page()
    signed_in(page, server)
    held: list[Route] = []
    page.route(re.compile(r"/js/app"), lambda route: held.append(route))
    page.reload(wait_until="commit")
    page.set_input_files("#file", sounds[:1])
    expect(page.locator(".row")).to_have_count(0)
    held[0].continue_()
    expect(page.get_by_text("rising.wav")).to_be_visible()
    expect(page.locator("#result")).to_be_visible()


def test_refusals_and_failures_are_shown_next_to_the_file(
    server: Server, context: BrowserContext, tmp_path: Path
) -> None:
    page = context.new_page()
    signed_in(page, server)
    for name, data in (("nothing.wav", b""), ("notes.wav", b"buy milk\n" * 99)):
        (tmp_path / name).write_bytes(data)
    # On a phone, the rows are below the fold until there is something to read.
    page.set_viewport_size({"width": 360, "height": 640})
    page.set_input_files("#file", tmp_path / "nothing.wav")
    empty = page.locator(".row", has_text="nothing.wav")
    expect(empty).to_contain_text("The file is empty.")
    expect(empty).to_be_in_viewport()
    page.set_input_files("#file", tmp_path / "notes.wav")
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("contains no audio", timeout=60_000)
    expect(problem).to_contain_text("Choose a WAV")
    page.go_back()
    failed = page.locator(".row.failed", has_text="notes.wav")
    expect(failed).to_contain_text("contains no audio")


def test_the_theme_is_remembered_and_pages_fit_a_phone(
    server: Server, context: BrowserContext
) -> None:
    page = context.new_page()
    signed_in(page, server)
    page.get_by_role("button", name="Dark").click()
    page.goto(f"{server.url}/history/")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    expect(page.get_by_role("button", name="Light")).to_be_visible()
    page.set_viewport_size({"width": 360, "height": 800})
    for path in ("/", "/history/", "/models/", "/account/password/"):
        page.goto(server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_the_theme_follows_the_system_until_another_is_chosen(
    server: Server, browser: Browser
) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(f"{server.url}/account/sign-in/")
    ground = "getComputedStyle(document.body).backgroundColor"
    night = page.evaluate(ground)
    page.get_by_role("button", name="Light").click()
    day = page.evaluate(ground)
    assert day != night
    page.emulate_media(color_scheme="light")
    page.reload()
    assert page.evaluate(ground) == day
    # Choosing the system's current theme means that the page follows the system again.
    page.get_by_role("button", name="Dark").click()
    page.get_by_role("button", name="Light").click()
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) == night
    expect(page.get_by_role("button", name="Light")).to_be_visible()
    context.close()


def test_dropping_a_zip_on_the_upload_form_offers_a_batch(
    server: Server, context: BrowserContext
) -> None:
    page = context.new_page()
    signed_in(page, server)
    page.locator("form.drop").evaluate(
        """(form) => { const data = new DataTransfer();
        data.items.add(new File(["PK"], "night.zip"));
        form.dispatchEvent(
          new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })) }"""
    )
    page.get_by_role("link", name="create a batch").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("New batch")


def test_a_form_with_an_expired_csrf_token_shows_what_to_do(
    server: Server, context: BrowserContext
) -> None:
    page = context.new_page()
    signed_in(page, server)
    context.clear_cookies(name="csrftoken")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Something went wrong")
    expect(page.get_by_text("reload the page and try again")).to_be_visible()
    assert (
        page.evaluate("getComputedStyle(document.body).margin") == "0px"
    )  # the style sheet is loaded


def test_the_models_page_shows_the_evaluation_and_copies_the_checkpoint_name(
    server: Server, context: BrowserContext
) -> None:
    page = context.new_page()
    watch = Watch(page, urlsplit(server.url).netloc)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    signed_in(page, server)
    page.get_by_role("link", name="Models").click()
    for picture in page.locator(".attribution img").all():
        picture.scroll_into_view_if_needed()
    shown = "Array.from(document.images).filter(i => i.naturalWidth > 300).length == 2"
    # Not wait_for_function: it evaluates a string in the page, which the policy may refuse.
    wait_for(lambda: page.evaluate(shown), 30, "both pictures")
    page.locator("summary").filter(has_text="Details").first.click()
    page.get_by_role("button", name="Copy esc50").first.click()
    expect(page.get_by_text("Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("sono-copy code").first.inner_text()
    assert watch.faults == []


def test_an_operation_can_be_executed_on_the_api_reference_page(
    server: Server, context: BrowserContext, anna: Person
) -> None:
    page = context.new_page()
    watch = Watch(page, urlsplit(server.url).netloc)
    page.add_init_script(
        "new PerformanceObserver((list) => list.getEntries().forEach((entry) => {"
        " if (!entry.hadRecentInput) window.shifted = (window.shifted ?? 0) + entry.value }))"
        ".observe({ type: 'layout-shift', buffered: true })"
    )
    page.goto(f"{server.url}/api/docs/")
    expect(page.get_by_role("button", name="Authorize")).to_be_visible()
    assert page.evaluate("window.shifted ?? 0") <= 0.05
    page.get_by_role("button", name="Authorize").click()
    scheme = page.locator(".dialog-ux form", has_text="token (apiKey)")
    scheme.get_by_role("textbox").fill(f"Token {anna.token}")
    scheme.get_by_role("button", name="Apply credentials").click()
    scheme.get_by_role("button", name="Close").click()
    page.locator("#operations-clips-list_clips .opblock-summary-control").click()
    operation = page.locator("#operations-clips-list_clips")
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    live = operation.locator(".live-responses-table .response")
    expect(live.locator(".response-col_status")).to_contain_text("200")
    expect(live).to_contain_text('"results"')
    assert watch.faults == []


def test_a_token_is_created_and_revoked_on_the_account_page(
    server: Server, context: BrowserContext
) -> None:
    page = context.new_page()
    watch = Watch(page, urlsplit(server.url).netloc)
    sign_up(page, server, "superuser")
    page.get_by_role("link", name="superuser").click()
    page.get_by_label("Name").fill("garden box")
    page.get_by_role("button", name="Create token").click()
    secret = page.locator("[data-secret]").inner_text()
    headers = {"Authorization": f"Token {secret}"}
    assert context.request.get(f"{server.url}/api/v1/clips/", headers=headers).ok
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke garden box").click()
    expect(page.get_by_text("You have no tokens yet.")).to_be_visible()
    expect(page.locator("[data-secret]")).to_have_count(0)
    assert watch.faults == []
