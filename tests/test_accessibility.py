"""Accessibility of every page in tools.screenshots, in both themes, on a desktop and a phone."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.demo_data import SETTINGS, DemoData, create_demo_data
from tests.server import ROOT, Server
from tests.watch import Watch
from tools.screenshots import SIZES, VIEWS, Scheme, visit_views

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


def test_every_page_is_accessible_on_a_phone(browser: Browser, demo: DemoData) -> None:
    """In the light theme; a proof covers the rest."""
    check_views(browser, demo, (360,), ("light",))


@pytest.mark.proof
def test_every_page_is_accessible_in_both_themes_and_widths(
    browser: Browser, demo: DemoData
) -> None:
    check_views(browser, demo, tuple(SIZES), ("dark", "light"))


def check_views(
    browser: Browser, demo: DemoData, widths: tuple[int, ...], schemes: tuple[Scheme, ...]
) -> None:
    """Check for axe violations, horizontal scrolling, small targets and faults in the console."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run npm ci")
    axe = AXE.read_text()
    watches: dict[object, Watch] = {}
    faults: list[str] = []
    seen: set[str] = set()
    for page, view, width in visit_views(browser, demo, "light", widths=widths):
        watch = watches.setdefault(page, Watch(page, urlsplit(demo.server.url).netloc))
        page.evaluate(axe)
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            page.evaluate(COLOURED)
            found = page.evaluate(f"axe.run({CHECKED}, {RULES[scheme]}{OPTIONS})")
            faults += [
                f"{view.name}, {scheme}, {width} px: {fault['id']}: {node['target']}"
                for fault in found["violations"]
                for node in fault["nodes"]
            ]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            faults.append(f"{view.name}, {width} px: wider than the window")
        small = page.evaluate(SMALL_TARGETS)
        faults += [f"{view.name}, {width} px: smaller than 24 px: {one}" for one in small]
        faults += [f"{view.name}, {width} px: {fault}" for fault in watch.faults]
        watch.faults.clear()
        seen.add(view.name)
    assert faults == [], "\n".join(faults)
    assert seen == {view.name for view in VIEWS}
