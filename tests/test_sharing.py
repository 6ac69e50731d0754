"""A share link in real browsers: its owner's, and one without an account."""

from urllib.parse import urlsplit

import requests
from playwright.sync_api import Browser, Page, expect

from tests.result_page import clock, show_parts, watch_posts
from tests.server import Server, wait_for
from tests.watch import Watch


def test_a_link_is_made_opened_and_played_without_an_account_and_revoked(
    page: Page, browser: Browser, server: Server, short: dict
) -> None:
    show_parts(page, server, short)
    page.get_by_text("Actions", exact=True).click()
    page.get_by_text("Share", exact=True).click()
    page.get_by_role("button", name="Make a link").click()
    address = page.locator("[data-share-url]").inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Shared", exact=True).click()
    expect(page.locator("[data-share-url]")).to_be_visible()
    elsewhere = browser.new_context()
    visitor = elsewhere.new_page()
    watch = Watch(visitor, urlsplit(server.url).netloc)
    posts = watch_posts(visitor)
    asked: list[str] = []
    visitor.on("request", lambda request: asked.append(urlsplit(request.url).path))
    visitor.goto(address)
    expect(visitor.get_by_role("heading", level=1)).to_have_text(
        page.get_by_role("heading", level=1).inner_text()
    )
    expect(visitor.get_by_role("radio", name="Marked part")).to_be_visible(timeout=60_000)
    visitor.get_by_role("button", name="Play", exact=True).click()
    wait_for(lambda: clock(visitor) > 0.2, 20, "playback")
    # No explanation is requested, even of a class that its owner did not look at.
    visitor.locator("[data-class='5']").click()
    expect(visitor.locator("[data-class='5']")).to_have_attribute("aria-pressed", "true")
    assert posts == [] and watch.faults == []
    assert {path.split("/")[1] for path in asked} == {"s", "static"}
    assert elsewhere.cookies() == []
    sounds = [path for path in asked if path.endswith("/audio")]
    page.get_by_role("button", name="Revoke the link").click()
    expect(page.get_by_role("button", name="Make a link")).to_be_visible()
    expect(page.get_by_role("link", name="Shared", exact=True)).to_be_hidden()
    gone = visitor.goto(address)
    assert gone and gone.status == 404
    assert sounds and requests.get(server.url + sounds[0], timeout=30).status_code == 404
    elsewhere.close()
