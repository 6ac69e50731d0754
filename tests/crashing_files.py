"""Sounds that make their decoder crash, hang or run code.

No known file still breaks the decoders we ship. The decoder process is therefore started with a
module that looks for a marker in each file and executes the line of Python behind it.
"""

from pathlib import Path

from tests import fixtures

MARK = b"execute in the decoder: "

# Python imports a module of this name at startup.
_MODULE = f"""
import os, sys
if "ml.audio.decoder_process" in sys.orig_argv:
    import ctypes, json, socket, time
    sys.path.insert(0, os.getcwd())
    import ml.audio.headers
    from ml.errors import AudioError, Problem
    is_cut = ml.audio.headers.is_cut
    def tell(what):
        raise AudioError(Problem("reported", str(what), ""))
    def attempt(act):
        try:
            act()
        except PermissionError:
            tell("refused")
        tell("done")
    def answer(text):
        os.write(int(sys.argv[2]), len(text).to_bytes(4, "little") + text)
    def execute_marked_line(file, name):
        _, mark, rest = file.read(10_000_000).partition({MARK!r})
        file.seek(0)
        if mark:
            exec(rest.split(b"\\n")[0])
        return is_cut(file, name)
    ml.audio.headers.is_cut = execute_marked_line
"""

CRASH = "ctypes.string_at(0)"
LOOP_FOREVER = "while True: pass"
SLEEP = "time.sleep(1000)"
FILL_MEMORY = "data = bytearray(20_000_000_000)"
RAISE = "1 / 0"


def unsafe_decoder_env(folder: Path) -> dict[str, str]:
    """Return environment variables that make decoders execute the code in a `crashing_sound`."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_MODULE)
    return {"PYTHONPATH": str(folder)}


def crashing_sound(code: str, seed: int = 1) -> bytes:
    """Return a valid sound followed by the marker and one line of Python."""
    return fixtures.encode(fixtures.noise(1.0, seed=seed)) + MARK + code.encode() + b"\n"
