"""Sounds that do to their decoder what a hole in it would allow.

No file is known that still breaks the decoders we ship, so the child is started with a module
before it that looks for our mark in a file, and then does what is written behind it.
"""

from pathlib import Path

from tests import fixtures

MARK = b"this is poison: "

# Python reads a module of this name before anything else.
_MODULE = f"""
import os, sys
if "ml.audio.decoder_process" in sys.orig_argv:
    import ctypes, json, socket, time
    sys.path.insert(0, os.getcwd())
    import ml.audio.formats
    from ml.errors import AudioError, Problem
    is_cut = ml.audio.formats.is_cut
    def tell(what):
        raise AudioError(Problem("told", str(what), ""))
    def attempt(act):
        try:
            act()
        except PermissionError:
            tell("refused")
        tell("done")
    def answer(text):
        os.write(int(sys.argv[2]), len(text).to_bytes(4, "little") + text)
    def poisoned(file, name):
        _, mark, rest = file.read(10_000_000).partition({MARK!r})
        file.seek(0)
        if mark:
            exec(rest.split(b"\\n")[0])
        return is_cut(file, name)
    ml.audio.formats.is_cut = poisoned
"""

CRASH = "ctypes.string_at(0)"
SPIN = "while True: pass"
SLEEP = "time.sleep(1000)"
FILL = "held = bytearray(20_000_000_000)"
STUMBLE = "1 / 0"


def antidote_off(folder: Path) -> dict[str, str]:
    """The environment in which a decoder child obeys `poisoned` sounds."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_MODULE)
    return {"PYTHONPATH": str(folder)}


def poisoned(what: str, seed: int = 1) -> bytes:
    """A fine sound with a mark behind it. what: one line of Python."""
    return fixtures.encode(fixtures.noise(1.0, seed=seed)) + MARK + what.encode() + b"\n"
