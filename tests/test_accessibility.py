"""Every page of the table, in both themes, on a screen and on a phone."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.demo_data import DemoData, create_demo_data
from tests.server import ROOT, Server
from tests.watch import Watch
from tools.screenshots import VIEWS, visit_views

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoData]:
    """In a server of its own, whose worker is stopped, and may be slow until then."""
    server = Server(tmp_path_factory.mktemp("furnished"), LEASE_S="60")
    server.open()
    yield create_demo_data(server)
    server.close()


def test_no_page_shuts_anybody_out_in_either_theme_or_width(
    browser: Browser, demo: DemoData
) -> None:
    """axe finds nothing, nothing needs scrolling sideways, and the strict policy holds."""
    if not AXE.exists():
        pytest.skip("no axe-core here: run npm ci")
    axe = AXE.read_text()
    watches: dict[object, Watch] = {}
    faults: list[str] = []
    seen: set[str] = set()
    for page, view, scheme, width in visit_views(browser, demo):
        watch = watches.setdefault(page, Watch(page, urlsplit(demo.server.url).netloc))
        where = f"{view.name}, {scheme}, {width} px"
        page.evaluate(axe)
        # Swagger UI draws its own tree, which no style sheet of ours can correct.
        found = page.evaluate("axe.run({exclude: ['#swagger-ui']}, {preload: false})")
        faults += [
            f"{where}: {fault['id']}: {node['target']}"
            for fault in found["violations"]
            for node in fault["nodes"]
        ]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            faults.append(f"{where}: wider than the window")
        faults += [f"{where}: {fault}" for fault in watch.faults]
        watch.faults.clear()
        seen.add(view.name)
    assert faults == [], "\n".join(faults)
    assert seen == {view.name for view in VIEWS}
