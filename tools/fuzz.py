"""Coverage-guided fuzzing of our own readers of other users' bytes: `make fuzz`.

`formats` is the Python code that sniffs a file and counts what it promises; `zips` is the intake of
a ZIP, with everything that is taken in thrown away instead of stored. Each input may end in an
answer or a refusal; anything else stops the fuzzer, which keeps the input that did it. What was
learnt is kept in `var/fuzz` for the next time.

What FFmpeg and libsndfile make of a file is tried by `make hostile` instead: as they are shipped
they do not tell which of their branches were taken. Needs atheris, of which tests know nothing.
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
# One input may take so long before it is called a hang.
HANG_S = 10
KEPT = ROOT / "var" / "fuzz"

Target = Callable[[bytes], None]


def formats_target() -> Target:
    """All that `ml.audio.decode` asks before any decoder sees the file."""
    with atheris.instrument_imports(include=["ml.audio.formats"]):
        from ml.audio import formats

    def read(data: bytes) -> None:
        with tempfile.TemporaryFile() as whole:
            whole.write(data)
            whole.seek(0)
            with formats.Bytes(io.FileIO(whole.fileno(), closefd=False)) as file:
                name = formats.sniff(file)
                if name is None:
                    return
                formats.is_cut(file, name)
                frames = formats.declared_frames(file, name)
                assert frames is None or frames >= 0
                assert file.tell() == 0
                if name == "WAV":
                    assert len(formats.sealed(file).read()) == len(data)

    return read


def zips_target() -> Target:
    """`zip_import.take_in`, and behind it a batch that keeps nothing."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    import django

    django.setup()
    # Anew, for only what is imported here tells which of its branches were taken.
    del sys.modules["zipfile"]
    with atheris.instrument_imports(include=["classifier.services.zip_import", "zipfile"]):
        from classifier.services import zip_import
    from classifier.services import batches
    from classifier.services.problems import RequestRefused

    def swallow(batch: object, path: str, chunks: Iterable[bytes]) -> SimpleNamespace:
        path = batches.path_of(path)
        assert path.isprintable()
        assert ".." not in path.split("/")
        try:
            size_bytes = sum(map(len, chunks))
        except RequestRefused as refused:
            assert refused.problem.detail
            return SimpleNamespace(outcome="refused")
        return SimpleNamespace(outcome="accepted" if size_bytes else "refused")

    batches.add_file = swallow  # type: ignore[assignment]
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
    thought_of = [one.data for one in malicious_files.handcrafted()]
    return [*mutated_files.valid().values(), *thought_of]


TARGETS: dict[str, Callable[[], Target]] = {"formats": formats_target, "zips": zips_target}


def fuzz(target: str, seconds: int) -> None:
    """Does not return: libFuzzer ends the process."""
    corpus, found = KEPT / target, KEPT / "found"
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
    asked = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    asked.add_argument("target", nargs="?", choices=TARGETS, help="default: one after the other")
    asked.add_argument("--seconds", type=int, default=90, help="for each target")
    options = asked.parse_args()
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
