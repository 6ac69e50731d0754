"""The front page in a real browser without an account: the example, and a sound to try."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests import fixtures
from tests.result_page import clock, shown_explanation
from tests.server import PASSWORD, ROOT, Server, wait_for
from tests.watch import Watch

SIREN = ROOT / "webapp" / "samples" / "siren.flac"


@pytest.fixture
def visitor(server: Server, browser: Browser) -> Iterator[Page]:
    """The front page of a visitor, with its example."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.goto(server.url)
    shown_explanation(page)
    yield page
    context.close()


def choose(page: Page, name: str, data: bytes) -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "audio/wav", "buffer": data})


def sign_up(page: Page, name: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password", exact=False).first.fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()


def test_a_visitor_hears_the_example_and_gets_an_answer_for_a_sound(
    visitor: Page, server: Server
) -> None:
    watch = Watch(visitor, urlsplit(server.url).netloc)
    expect(visitor.get_by_role("heading", name="Crow")).to_be_visible()
    visitor.get_by_role("button", name="Play", exact=True).click()
    wait_for(lambda: clock(visitor) > 0.2, 20, "playback")

    choose(visitor, "street.flac", SIREN.read_bytes())
    expect(visitor.get_by_role("heading", level=1)).to_have_text("Siren", timeout=60_000)
    address = visitor.url
    assert urlsplit(address).path.startswith("/s/")
    expect(visitor.get_by_text("to keep it")).to_be_visible()
    # The explanation of the answer is there, and that of another class if it is chosen.
    shown_explanation(visitor)
    visitor.locator("[data-class='2']").click()
    other = visitor.locator("[data-explain='2'] [data-verdict]")
    expect(other).to_be_visible(timeout=60_000)
    assert watch.faults == []

    visitor.get_by_role("link", name="Create an account").click()
    sign_up(visitor, f"visitor{server.port}")
    expect(visitor.get_by_role("heading", level=1)).to_have_text("Siren")
    assert urlsplit(visitor.url).path.startswith("/analyses/")
    expect(visitor.get_by_text("to keep it")).to_have_count(0)
    shown_explanation(visitor)
    gone = visitor.goto(address)
    assert gone and gone.status == 404


def test_a_visitor_meets_the_limits_and_loses_nothing(visitor: Page, server: Server) -> None:
    alert = visitor.get_by_role("alert")
    choose(visitor, "long.wav", bytes(settings.VISITOR_MAX_BYTES + 1))
    expect(alert).to_contain_text("long.wav was not sent. The file is larger than 10 MB")
    choose(visitor, "notes.TXT", b"buy milk")
    expect(alert).to_contain_text("notes.TXT was not sent. Files with this extension")
    choose(visitor, "hour.wav", fixtures.encode(fixtures.noise(15.5), rate_hz=8000))
    expect(visitor.get_by_role("alert")).to_contain_text("the limit is 60 s", timeout=60_000)
    visitor.goto(server.url)

    token = visitor.locator("[name=csrfmiddlewaretoken]").first.input_value()
    headers = {"Referer": server.url}
    # Accepted, and soon found to contain no audio.
    text: FilePayload = {"name": "x.txt", "mimeType": "text/plain", "buffer": b"no sound"}
    for _ in range(settings.VISITOR_TRIES_PER_HOUR):
        refused = visitor.request.post(
            f"{server.url}/try/",
            multipart={"csrfmiddlewaretoken": token, "file": text},
            headers=headers,
        )
    assert refused.status == 429
    choose(visitor, "street.flac", SIREN.read_bytes())
    expect(alert).to_contain_text("Your IP address has sent 10 sounds within an hour")
    expect(visitor.get_by_role("button", name="Send again")).to_be_visible()
    assert visitor.url == f"{server.url}/"
