"""Take a screenshot of explanations: `ESC50_DIR=… python -m tools.explanation_screenshots`.

The sounds are the samples of the Upload page, with the default checkpoint, and the first clip of
every fifth class of fold 4 of ESC-50, with a checkpoint that was not trained on that fold. Prints
the label, the prediction and the verdict of each, and the confidence in the prediction for the
original, for the marked part and for the rest.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import requests
from playwright.sync_api import Page, expect

from ml.checkpoint_info import TESTED
from tests.server import ROOT, Person, Server
from tools.screenshots import TARGET, launched_browser, load_pictures, new_page, take_screenshot
from training.cli import NO_DATA
from training.config import esc50_dir
from training.data.index import class_names, read_index

SAMPLES = ROOT / "webapp" / "samples"
FOLD, STEP = 4, 5
WIDTH, HEIGHT = 1440, 900


def sounds() -> Iterator[tuple[str, Path, str]]:
    """Yield the label, the file and the checkpoint of each sound."""
    data = esc50_dir()
    if data is None:
        sys.exit(NO_DATA)
    for path in sorted(SAMPLES.glob("*.flac")):
        yield path.stem, path, ""
    examples = [example for example in read_index(data) if example.fold == FOLD]
    for label in class_names(examples)[::STEP]:
        first = next(example for example in examples if example.label == label)
        yield label, first.path, TESTED.stem


def take(page: Page, person: Person, label: str, path: Path, checkpoint: str) -> bytes:
    """Return a screenshot of the result page, and print what the explanation says."""
    analysis = person.wait(person.submit(path.name, path.read_bytes(), checkpoint=checkpoint))
    page.goto(f"{person.server.url}/analyses/{analysis['id']}/")
    expect(page.locator("[data-verdict]:visible")).to_be_visible(timeout=60_000)
    expect(page.locator("[data-key]")).not_to_contain_class("off")
    load_pictures(page)
    figures = requests.post(
        f"{person.server.url}/api/v1/analyses/{analysis['id']}/inspections/",
        headers=person.headers,
        json={"kind": "explanation", "label": analysis["label"]},
        timeout=30,
    ).json()["figures"]
    shares = "  ".join(f"{name} {figures[name]:6.1%}" for name in ("original", "kept", "rest"))
    print(f"{label:18} {analysis['label']:18} {figures['verdict']:13} {shares}", flush=True)
    return take_screenshot(page)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools.explanation_screenshots", description=__doc__)
    parser.add_argument("--to", type=Path, default=TARGET)
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, launched_browser() as browser:
        server = Server(Path(folder) / "server", LEASE_S="60")
        try:
            server.open()
            person = server.person()
            page = new_page(browser, "light", person, WIDTH)
            page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
            for label, path, checkpoint in sounds():
                target = options.to / f"explanation-{label}{'' if checkpoint else '-sample'}.png"
                target.write_bytes(take(page, person, label, path, checkpoint))
        finally:
            server.close()


if __name__ == "__main__":
    main()
