"""Measure the first view of a five-second result: `python -m tools.bench.first_view`.

From a warm server into a browser without a cache: bytes on the wire, DOM nodes, time to the
largest paint. For comparison, the same browser draws as many SVG rectangles as Audio CNN
Visualizer does for the same sound: one for each value of its spectrogram and maps.
"""

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Response, sync_playwright

from tests.server import PASSWORD, ROOT, Person, Server, chromium

LOADS = 7
# Drawn by Audio CNN Visualizer for five seconds of sound.
RECTANGLES = 93_792
BROWSER_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
]
LARGEST_PAINT = """() => new Promise(resolve => new PerformanceObserver(list =>
  resolve(list.getEntries().at(-1).startTime)).observe(
  {type: "largest-contentful-paint", buffered: true}))"""
DRAWN = """count => new Promise(resolve => {
  const started = performance.now();
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (let number = 0; number < count; number += 1) {
    const cell = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    cell.setAttribute("x", number % 431); cell.setAttribute("y", Math.floor(number / 431));
    cell.setAttribute("width", 1); cell.setAttribute("height", 1);
    cell.setAttribute("fill", `rgb(${number % 256}, 0, 0)`); svg.append(cell);
  }
  document.body.append(svg);
  requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - started)));
})"""


def ours(browser: Browser, server: Server, person: Person, analysis: str) -> list[dict[str, Any]]:
    """Load the page of an analysis several times; the first load is not counted."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{server.url}/account/sign-in/")
    page.get_by_label("Username").fill(person.name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    client = context.new_cdp_session(page)
    client.send("Network.enable")
    client.send("Network.setCacheDisabled", {"cacheDisabled": True})
    loads = [load(page, f"{server.url}/analyses/{analysis}/") for _ in range(LOADS + 1)]
    context.close()
    return loads[1:]


def load(page: Page, url: str) -> dict[str, Any]:
    responses: list[Response] = []

    def note(response: Response) -> None:
        responses.append(response)

    page.on("response", note)
    page.goto(url)
    page.wait_for_load_state("networkidle")
    page.remove_listener("response", note)
    counted = [one for one in responses if not one.url.endswith("/audio")]
    return {
        "largest_paint_ms": page.evaluate(LARGEST_PAINT),
        "bytes": sum(one.request.sizes()["responseBodySize"] for one in counted),
        "nodes": page.evaluate("document.querySelectorAll('*').length"),
    }


def rectangles(browser: Browser) -> list[float]:
    times_ms = []
    for _ in range(LOADS):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_content("<body></body>")
        times_ms.append(page.evaluate(DRAWN, RECTANGLES))
        page.close()
    return times_ms


def main() -> None:
    path = chromium()
    if path is None:
        raise SystemExit("Chromium is not installed; install it or set CHROMIUM to its path")
    sound = (ROOT / "webapp" / "samples" / "siren.flac").read_bytes()
    with tempfile.TemporaryDirectory(prefix="sonoscope-bench-") as folder:
        server = Server(Path(folder))
        server.open()
        try:
            person = server.person()
            analysis = person.wait(person.submit("siren.flac", sound))["id"]
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGS)
                loads = ours(browser, server, person, analysis)
                drawn = rectangles(browser)
                browser.close()
        finally:
            server.close()
    report = {name: statistics.median(one[name] for one in loads) for name in loads[0]}
    report |= {"rectangles": RECTANGLES, "rectangles_drawn_ms": statistics.median(drawn)}
    print(json.dumps({name: round(value) for name, value in report.items()}))


if __name__ == "__main__":
    main()
