"""Compare the throughput of the whole system with a plain loop: `make bench`.

The plain loop decodes, computes log-mel spectrograms, classifies with feature maps and renders, in
this process, in chunks of the same size. The whole path uploads the same clips over HTTP to a
running server until the last one is done. Also measures the size of a result page and the start-up
time.
"""

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin

import django

from tests import fixtures
from tests.server import ROOT, Person, Server, free_port, wait_for

UPLOADERS = 4


def clips(count: int, folder: Path) -> list[Path]:
    """Write different five-second sounds as Ogg Vorbis and return their paths."""
    made = []
    for number in range(count):
        path = folder / f"{number}.ogg"
        samples = 0.5 * fixtures.noise(5.0, 44_100, seed=number) + fixtures.chirp(
            200 + 20 * number, 6000, 5.0, 44_100
        )
        path.write_bytes(fixtures.encode(samples, 44_100, "OGG"))
        made.append(path)
    return made


def plain_loop(paths: list[Path]) -> float:
    """Return the seconds that a plain loop takes for all clips."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    django.setup()

    from ml.audio.decode import read
    from tasks.analyse import PART_CLIPS, load_classifier
    from tasks.rendering import render

    classifier = load_classifier("")
    rate = classifier.info.features.sample_rate

    def chunk(part: list[Path]) -> None:
        sounds = [read(path, rate) for path in part]
        results = classifier.classify([sound.waveform for sound in sounds])
        for sound, result in zip(sounds, results, strict=True):
            render(classifier, sound, result)

    chunk(paths[:PART_CLIPS])
    started = time.monotonic()
    for first in range(0, len(paths), PART_CLIPS):
        chunk(paths[first : first + PART_CLIPS])
    return time.monotonic() - started


def whole_path(person: Person, paths: list[Path]) -> tuple[float, float]:
    """Upload all clips; return the seconds until all are accepted and until all are done."""
    person.wait(person.submit("warm-up.ogg", paths[0].read_bytes(), again=True))
    started = time.monotonic()
    with ThreadPoolExecutor(UPLOADERS) as pool:
        locations = list(
            pool.map(lambda p: person.submit(p.name, p.read_bytes(), again=True), paths)
        )
    accepted_s = time.monotonic() - started
    for location in reversed(locations):
        done = person.wait(location, 600)
        assert done["state"] == "done", done["error"]
    return accepted_s, time.monotonic() - started


def page_weight(person: Person, path: Path) -> dict[str, int]:
    """Return the bytes on the wire of a result's first view, without the sound."""
    location = person.submit(path.name, path.read_bytes(), again=True)
    person.wait(location)
    address = location.replace("/api/v1", "")
    page = person.page(address)
    wanted = set(re.findall(r'(?:src|href)="(/static/[^"]+|/media/[^"]+\.png)"', page.text))
    small = {u for u in wanted if "/maps/" in u and "." in u.rsplit("/", 1)[1].removesuffix(".png")}
    wanted = (wanted - small) | set(re.findall(r'data-peaks="([^"]+)"', page.text))
    style = next(url for url in wanted if url.endswith(".css"))
    wanted |= {
        urljoin(style, found) for found in re.findall(r'url\("([^"]+)"\)', person.page(style).text)
    }
    weights = {url: _wire_bytes(person, url) for url in wanted}
    return {
        "html": _wire_bytes(person, address),
        "static (cached permanently)": sum(v for url, v in weights.items() if "/static/" in url),
        "pictures and peaks": sum(v for url, v in weights.items() if "/media/" in url),
        "requests": 1 + len(wanted),
    }


def _wire_bytes(person: Person, url: str) -> int:
    response = person.browser.get(
        person.server.url + url, stream=True, headers={"Accept-Encoding": "gzip"}, timeout=30
    )
    response.raise_for_status()
    return len(response.raw.read(decode_content=False))


def start_times(data: Path) -> dict[str, float]:
    """Return the seconds from the start command to the printed address.

    The data folder is new at the first start and used at the second.
    """
    env = os.environ | {"SONOSCOPE_DATA": str(data), "PORT": str(free_port())}
    taken = {}
    for name in ("first start", "second start"):
        started = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "webapp.serve"],
            cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            assert process.stdout
            for line in process.stdout:
                if "is running at" in line:
                    taken[name] = round(time.monotonic() - started, 1)
                    process.send_signal(signal.SIGINT)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.path", description=__doc__)
    parser.add_argument("--clips", type=int, default=200)
    count = parser.parse_args().clips
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = clips(count, folder)
        server = Server(folder / "server")
        server.open()
        try:
            wait_for(lambda: "ready" in server.log("worker"), 60, "the worker")
            accepted_s, done_s = whole_path(server.person(), paths)
            weight = page_weight(server.person(), paths[0])
        finally:
            server.close()
        loop_s = plain_loop(paths)
        starts = start_times(folder / "fresh")
    print(
        json.dumps(
            {
                "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
                "clips": count,
                "plain loop, clips/s": round(count / loop_s, 2),
                "whole path, clips/s": round(count / done_s, 2),
                "share of the plain loop": round(loop_s / done_s, 3),
                "uploads accepted, clips/s": round(count / accepted_s, 1),
                "bytes of a result page": weight,
                "start, s": starts,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
