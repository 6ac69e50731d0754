"""Accessibility of the pages, in both themes, on a desktop and a phone."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.demo_data import SETTINGS, DemoData, create_demo_data
from tests.server import ROOT, Person, Server
from tests.watch import Watch
from tools.screenshots import VIEWS, Scheme, load_pictures, new_page, visit_views

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
# Swagger UI builds its own markup, which our style sheet cannot correct.
CHECKED = "{exclude: ['#swagger-ui']}"
# The admin's links change their colour in 0.15 s.
COLOURED = "Promise.allSettled(document.getAnimations().map(animation => animation.finished))"
# Targets that are smaller than 24 px in a direction, without links in a text and without links that
# are stretched over a row.
SMALL_TARGETS = """() => {
  const stretched = (one) => getComputedStyle(one, '::after').position === 'absolute';
  const small = ({width, height}) => Math.round(width) < 24 || Math.round(height) < 24;
  return [...document.querySelectorAll('a[href], button, input, select, textarea, summary')]
    .filter((one) => one.checkVisibility({opacityProperty: true, visibilityProperty: true}))
    .filter((one) => getComputedStyle(one).display !== 'inline' && !stretched(one))
    .filter((one) => !one.closest('#swagger-ui, .skip') && small(one.getBoundingClientRect()))
    .map((one) => one.outerHTML.slice(0, 120));
}"""
# A page is loaded in the light theme. In the dark one, only its colours are different.
RULES: dict[Scheme, str] = {
    "dark": "{runOnly: ['color-contrast', 'link-in-text-block'], ",
    "light": "{",
}
# Passed rules need no list of their elements.
OPTIONS = "resultTypes: ['violations'], preload: false}"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoData]:
    """Demo data on a new server."""
    server = Server(tmp_path_factory.mktemp("demo"), **SETTINGS)
    server.open()
    yield create_demo_data(server)
    server.close()


def test_the_main_pages_are_accessible_on_a_phone(
    browser: Browser, server: Server, listener: Person, short: dict, long: dict
) -> None:
    page = new_page(browser, "light", listener, 360)
    watch = Watch(page, urlsplit(server.url).netloc)
    results = [f"/analyses/{one['id']}/" for one in (short, long)]
    faults: list[str] = []
    for path in ("/", "/history/", "/batches/", "/models/", "/account/", *results):
        page.goto(server.url + path)
        load_pictures(page)
        faults += faults_of(page, path, 360, ("light",))
    faults += watch.faults
    assert faults == [], "\n".join(faults)
    page.context.close()


@pytest.mark.proof
def test_every_page_is_accessible_in_both_themes_and_widths(
    browser: Browser, demo: DemoData
) -> None:
    """Every view of tools.screenshots, also without violations of the content security policy."""
    watches: dict[object, Watch] = {}
    faults: list[str] = []
    seen: set[str] = set()
    for page, view, width in visit_views(browser, demo, "light"):
        watch = watches.setdefault(page, Watch(page, urlsplit(demo.server.url).netloc))
        faults += faults_of(page, view.name, width, ("dark", "light"))
        faults += [f"{view.name}, {width} px: {fault}" for fault in watch.faults]
        watch.faults.clear()
        seen.add(view.name)
    assert faults == [], "\n".join(faults)
    assert seen == {view.name for view in VIEWS}


def faults_of(page: Page, name: str, width: int, schemes: tuple[Scheme, ...]) -> list[str]:
    """Return the axe violations, whether the page is too wide, and targets that are too small."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run npm ci")
    page.evaluate(AXE.read_text())
    faults: list[str] = []
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        page.evaluate(COLOURED)
        found = page.evaluate(f"axe.run({CHECKED}, {RULES[scheme]}{OPTIONS})")
        faults += [
            f"{name}, {scheme}, {width} px: {fault['id']}: {node['target']}"
            for fault in found["violations"]
            for node in fault["nodes"]
        ]
    if page.evaluate("document.documentElement.scrollWidth") > width:
        faults.append(f"{name}, {width} px: wider than the window")
    small = page.evaluate(SMALL_TARGETS)
    return faults + [f"{name}, {width} px: smaller than 24 px: {one}" for one in small]
