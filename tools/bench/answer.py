"""Measure how long a person waits in the browser: `ESC50_DIR=… python -m tools.bench.answer`.

On a warm server: from the choice of a file to its prediction on the page, alone and while a folder
is analysed; and from opening a finished result to the attribution of its top class on the screen,
the first time and the second time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests import fixtures
from tests.server import PASSWORD, ROOT, Person, Server, chromium
from tools.bench.first_view import BROWSER_ARGS
from tools.bench.folder import make_folder, quantiles

WAIT_MS = 60_000
# The contour of the explanation is on the spectrogram.
DRAWN = """() => Boolean(document.querySelector("[data-outline]:not([hidden])"))"""


def sound(folder: Path, seed: int) -> Path:
    """Write five seconds of noise as Ogg Vorbis."""
    path = folder / f"sound {seed}.ogg"
    path.write_bytes(fixtures.encode(fixtures.noise(5.0, 44_100, seed=seed), 44_100, "OGG"))
    return path


def sign_in(page: Page, server: Server, person: Person) -> None:
    page.goto(f"{server.url}/account/sign-in/")
    page.get_by_label("Username").fill(person.name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{server.url}/")


def drop(page: Page, server: Server, file: Path) -> float:
    """Choose a file on the Upload page; return the seconds until its page shows the prediction."""
    page.goto(server.url)
    page.wait_for_load_state("networkidle")
    started = time.monotonic()
    page.locator("#file").set_input_files(file)
    answer = page.locator("#result[data-state=done] .predictions").first
    expect(answer).to_be_visible(timeout=WAIT_MS)
    return time.monotonic() - started


def open_result(page: Page, server: Server, analysis: str) -> float:
    """Open a result; return the seconds until the attribution of its top class is drawn."""
    started = time.monotonic()
    page.goto(f"{server.url}/analyses/{analysis}/", wait_until="commit")
    page.wait_for_function(DRAWN, timeout=WAIT_MS, polling=20)
    return time.monotonic() - started


def repeated(count: int, measure: Callable[[int], float]) -> dict[str, float]:
    return quantiles([measure(number) for number in range(count)])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.answer", description=__doc__)
    parser.add_argument("--sounds", type=int, default=30, help="sounds per measurement")
    parser.add_argument("--clips", type=int, default=600, help="clips of the folder")
    options = parser.parse_args(argv)
    path = chromium()
    if path is None:
        raise SystemExit("Chromium is not installed; install it or set CHROMIUM to its path")
    with tempfile.TemporaryDirectory(prefix="sonoscope-bench-") as temporary:
        folder = Path(temporary)
        server = Server(folder / "server")
        server.open()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGS)
                person = server.person()
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                sign_in(page, server, person)
                for number in range(3):  # the worker loads its weights
                    drop(page, server, sound(folder, 10_000 + number))
                report = {
                    "file chosen to prediction": repeated(
                        options.sounds, lambda number: drop(page, server, sound(folder, number))
                    )
                }
                # Sent over the API, because a page that shows an answer requests its explanation.
                page.goto(server.url)
                sent = [
                    person.submit(f"{number}.ogg", sound(folder, 30_000 + number).read_bytes())
                    for number in range(options.sounds)
                ]
                analyses = [person.wait(address)["id"] for address in sent]
                for which in ("first time", "second time"):
                    report[f"result opened to attribution, {which}"] = quantiles(
                        [open_result(page, server, one) for one in analyses]
                    )
                make_folder(folder / "clips", options.clips)
                submit = [sys.executable, "manage.py", "submit_folder", str(folder / "clips")]
                other = server.person()
                # Its status is 1, because the folder contains files that are refused.
                subprocess.run(
                    [*submit, "--user", other.name, "--json"],
                    cwd=ROOT, env=server.env, capture_output=True, check=False,
                )  # fmt: skip

                def busy() -> bool:
                    totals = other.get("/api/v1/batches/").json()["results"][0]["totals"]
                    return totals["waiting"] + totals["running"] > 0

                taken: list[float] = []
                while busy():
                    taken.append(drop(page, server, sound(folder, 20_000 + len(taken))))
                report["file chosen to prediction, beside the folder"] = quantiles(taken)
                report["sounds beside the folder"] = {"count": len(taken)}
                browser.close()
        finally:
            server.close()
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
