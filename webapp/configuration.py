"""Generate docs/configuration.md from the settings: `python -m webapp.configuration`."""

import importlib
import re
from pathlib import Path

from webapp import env

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
TABLE = re.compile(r"(?<=\|---\|---\|---\|---\|\n)(\|.*\n)*")


def document() -> str:
    """Return the document with the table of the current settings."""
    importlib.import_module("webapp.settings")
    rows = [
        f"| `{setting.name}` | {_code(setting.default)} | {setting.meaning} | "
        f"{'yes' if setting.from_file else ''} |\n"
        for setting in env.KNOWN.values()
    ]
    return TABLE.sub(lambda _: "".join(rows), DOCUMENT.read_text(), count=1)


def _code(default: str) -> str:
    """Format a value as code; return a description unchanged."""
    return default if " " in default or not default else f"`{default}`"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
    print(f"{len(env.KNOWN)} settings written to {DOCUMENT}")
