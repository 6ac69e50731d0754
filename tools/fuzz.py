"""Coverage-guided fuzzing of the Python code that reads uploaded bytes: `make fuzz`.

The target `formats` detects a file's format and counts its frames; `zips` imports a ZIP and
discards the files instead of storing them. Each input must be accepted or refused. Any other
exception stops the fuzzer, which keeps the input. The corpus is kept in `var/fuzz` for the next
run.

FFmpeg and libsndfile are tested by `make hostile` instead, because their wheels have no coverage
instrumentation. Needs atheris, which the tests do not use.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import atheris

from tests import malicious_files, malicious_zips, mutated_files
from tests.server import ROOT

MAX_BYTES = 20_000
# An input that takes longer counts as a hang.
HANG_S = 10
FOLDER = ROOT / "var" / "fuzz"

Target = Callable[[bytes], None]


def formats_target() -> Target:
    """Return a target for the checks of `ml.audio.decode` before a decoder reads the file."""
    stages = ("formats", "headers", "file_views", "mpeg", "wav")
    watched = [f"ml.audio.{stage}" for stage in stages]
    with atheris.instrument_imports(include=watched):
        from ml.audio import formats, headers, wav
        from ml.audio.file_views import Bytes, part
        from ml.errors import AudioError

    def read(data: bytes) -> None:
        with tempfile.TemporaryFile() as stored:
            stored.write(data)
            stored.seek(0)
            with Bytes(io.FileIO(stored.fileno(), closefd=False)) as whole:
                try:
                    found = formats.find(whole)
                except AudioError:
                    return
                if found is None:
                    return
                file = part(whole, found.start)
                headers.is_cut(file, found.name)
                headers.is_short(file, found.name)
                headers.has_webm_duration(file)
                frames = headers.declared_frames(file, found.name)
                assert frames is None or frames >= 0
                assert file.tell() == 0
                if found.name == "WAV":
                    patched = part(file, 0, patches=wav.patches(file))
                    assert len(patched.read()) == max(0, len(data) - found.start)
                if found.name == "OGG":
                    places = [place for link in headers.read_ogg(file).links for place in link]
                    assert places == sorted(places)

    return read


def zips_target() -> Target:
    """Return a target for `zip_import.take_in`, with a batch that stores nothing."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    import django

    django.setup()
    # Import zipfile again: only modules imported in the block below are instrumented.
    del sys.modules["zipfile"]
    with atheris.instrument_imports(include=["classifier.services.zip_import", "zipfile"]):
        from classifier.services import zip_import
    from classifier.services import batches
    from classifier.services.problems import RequestRefused
    from ml.file_names import label_of, original_of

    def discard(batch: object, path: str, chunks: Iterable[bytes]) -> SimpleNamespace:
        assert label_of(original_of(path)) == path
        assert ".." not in path.split("/")
        try:
            size_bytes = sum(map(len, chunks))
        except RequestRefused as refused:
            assert refused.problem.detail
            return SimpleNamespace(outcome="refused")
        return SimpleNamespace(outcome="accepted" if size_bytes else "refused")

    batches.add_file = discard  # type: ignore[assignment]
    folder = Path(tempfile.mkdtemp())

    def read(data: bytes) -> None:
        path = folder / "x.zip"
        path.write_bytes(data)
        try:
            zip_import.take_in(None, path)  # type: ignore[arg-type]
        except RequestRefused as refused:
            assert refused.problem.detail

    return read


def seeds(target: str) -> Iterable[bytes]:
    if target == "zips":
        return [data for _, data in malicious_zips.files(60)]
    handcrafted = [one.data for one in malicious_files.handcrafted()]
    return [*mutated_files.valid().values(), *handcrafted]


TARGETS: dict[str, Callable[[], Target]] = {"formats": formats_target, "zips": zips_target}


def fuzz(target: str, seconds: int) -> None:
    """Fuzz a target; does not return, because libFuzzer ends the process."""
    corpus, found = FOLDER / target, FOLDER / "found"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(target)):
        (corpus / f"seed-{number}").write_bytes(data[:MAX_BYTES])
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_BYTES}",
        f"-timeout={HANG_S}",
        f"-artifact_prefix={found}/{target}-",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[target]())
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=TARGETS, help="default: all, in turn")
    parser.add_argument("--seconds", type=int, default=90, help="time for each target")
    options = parser.parse_args()
    if options.target:
        fuzz(options.target, options.seconds)
    ended = [
        subprocess.run(
            [sys.executable, "-m", "tools.fuzz", target, "--seconds", str(options.seconds)],
            cwd=ROOT,
        ).returncode
        for target in TARGETS
    ]
    return max(ended, key=abs)


if __name__ == "__main__":
    sys.exit(main())
