"""Measure layout shift and largest paint of every page: `python -m tools.bench.vitals`.

Loads every page of `tools.screenshots` from a warm server, on a desktop and on a phone, and prints
the cumulative layout shift (CLS) and the time to the largest contentful paint (LCP) of each. Exits
with 1 if a page is over a limit. `--only NAME …` selects pages.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

from tests.demo_data import SETTINGS, DemoData, create_demo_data
from tests.server import Server
from tools.screenshots import VIEWS, View, launched_browser, visit_views

MAX_SHIFT = 0.05
MAX_PAINT_MS = 1000.0
# Loads of a page. The first one also fills the caches of the browser and of the server.
LOADS = 3
# Time for what a page loads later, such as the waveform and the explanation.
SETTLED_MS = 700
OBSERVE = """
window.vitals = {shift: 0, paint: 0};
new PerformanceObserver(list => list.getEntries().forEach(entry => {
  if (!entry.hadRecentInput) vitals.shift += entry.value;
})).observe({type: "layout-shift", buffered: true});
new PerformanceObserver(list => { vitals.paint = list.getEntries().at(-1).startTime; }).observe(
  {type: "largest-contentful-paint", buffered: true});
"""


@dataclass(frozen=True, slots=True)
class Vitals:
    """A page in one width: the largest shift and the median paint of its loads."""

    name: str
    width: int
    shift: float
    paint_ms: float

    @property
    def over(self) -> bool:
        return self.shift > MAX_SHIFT or self.paint_ms > MAX_PAINT_MS


def measure(browser: Browser, demo: DemoData, views: tuple[View, ...]) -> Iterator[Vitals]:
    """Yield the vitals of each view and width, of the page as it is before somebody acts."""
    still = tuple(view for view in views if view.act is None)
    observed: set[object] = set()
    for page, view, width in visit_views(browser, demo, "light", still):
        if page not in observed:
            page.add_init_script(OBSERVE)
            observed.add(page)
        found = []
        for _ in range(LOADS):
            page.reload(wait_until="load")
            page.wait_for_timeout(SETTLED_MS)
            found.append((page.evaluate("vitals.shift"), page.evaluate("vitals.paint")))
        shifts, paints = zip(*found, strict=True)
        yield Vitals(view.name, width, max(shifts), sorted(paints)[LOADS // 2])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.vitals", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[view.name for view in VIEWS])
    options = parser.parse_args()
    views = tuple(view for view in VIEWS if not options.only or view.name in options.only)
    over = 0
    with tempfile.TemporaryDirectory() as folder, launched_browser() as browser:
        server = Server(Path(folder) / "server", **SETTINGS)
        try:
            server.open()
            print(f"{'page':28} {'width':>5} {'CLS':>7} {'LCP ms':>7}")
            for one in measure(browser, create_demo_data(server), views):
                over += one.over
                mark = "  over the limit" if one.over else ""
                values = f"{one.width:5} {one.shift:7.4f} {one.paint_ms:7.0f}"
                print(f"{one.name:28} {values}{mark}", flush=True)
        finally:
            server.close()
    print(f"limits: CLS {MAX_SHIFT}, LCP {MAX_PAINT_MS:.0f} ms; over: {over}")
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
