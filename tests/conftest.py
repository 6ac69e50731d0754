from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import fixtures
from tests.server import Person, Server, chromium
from tests.watch import Watch

BROWSER_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",  # a microphone that beeps, once it is permitted
]

# Other tests run at the same time.
expect.set_options(timeout=15_000)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.open()
    yield server
    server.close()


@pytest.fixture(scope="session")
def anna(server: Server) -> Person:
    return server.person()


@pytest.fixture(scope="session")
def ben(server: Server) -> Person:
    return server.person()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("Chromium is not installed; install it or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGS)
        yield browser
        browser.close()


# --- the result page ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def listener(server: Server) -> Person:
    return server.person()


@pytest.fixture(scope="session")
def short(listener: Person) -> dict:
    sound = fixtures.chirp(300, 5000, 5.0)
    return listener.wait(listener.submit("rising.wav", fixtures.encode(sound)))


@pytest.fixture(scope="session")
def long(listener: Person) -> dict:
    parts = [
        fixtures.noise(5.0),
        fixtures.chirp(200, 8000, 5.0),
        fixtures.clicks(4, 5.0),
        fixtures.tone(900, 5.0),
    ]
    return listener.wait(listener.submit("walk.wav", fixtures.encode(np.concatenate(parts))))


@pytest.fixture
def page(server: Server, browser: Browser, listener: Person) -> Iterator[Page]:
    """A page of the listener, which must not report errors."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    listener.sign_in(context)
    page = context.new_page()
    watch = Watch(page, urlsplit(server.url).netloc)
    yield page
    assert watch.faults == []
    context.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.pipeline)
