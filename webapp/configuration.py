"""docs/configuration.md, made of the settings themselves: `python -m webapp.configuration`."""

import importlib
from pathlib import Path

from webapp import env

PAPER = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
HEAD = """# Configuration

<!-- Written by `python -m webapp.configuration`. Change webapp/settings.py, then run it. -->

Settings come from the environment, or from a `.env` file beside `manage.py` (`ENV_FILE` names
another one; the environment wins). `.env.example` holds them all. A value that cannot be right
stops the start with one sentence. After a change, restart every process.

Where the last column says yes, the value may come from a file instead: `SECRET_KEY_FILE=/path`
in place of `SECRET_KEY=…`. The file is read once, at the start; spaces and line ends around its
contents are dropped; setting both, or naming a file that is missing or empty, stops the start.

| name | default | meaning | `_FILE` |
|---|---|---|---|
"""
TAIL = """
Behind a proxy that ends TLS, set `ORIGIN` to the `https://` address and let the proxy set
`X-Forwarded-Proto` itself, overwriting what clients send. The secret key may stay generated as
long as every process sees the same data folder; with separate folders, or where the data folder
does not outlive a container, set `SECRET_KEY_FILE`, or everybody is signed out at every start.

Training and measuring read `ESC50_DIR`, the folder of the ESC-50 clips; the server does not.
"""


def paper() -> str:
    importlib.import_module("webapp.settings")
    rows = [
        f"| `{setting.name}` | {_code(setting.default)} | {setting.meaning} | "
        f"{'yes' if setting.from_file else ''} |\n"
        for setting in env.KNOWN.values()
    ]
    return HEAD + "".join(rows) + TAIL


def _code(default: str) -> str:
    """A value as code; a description as it is."""
    return default if " " in default or not default else f"`{default}`"


if __name__ == "__main__":
    PAPER.write_text(paper())
    print(f"{len(env.KNOWN)} settings written to {PAPER}")
