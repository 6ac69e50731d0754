"""The examples in the documentation, and the outputs shown below them."""

import re

from tests.server import ROOT


def blocks(path: str, language: str, indent: str = "") -> list[str]:
    text = (ROOT / path).read_text()
    found = re.findall(rf"^{indent}```{language}\n(.*?)^{indent}```$", text, re.M | re.S)
    assert found, f"{path} has no {language} examples"
    return found


def steps(path: str) -> list[tuple[str, str]]:
    """Return each shell block with the output shown below it, which is empty if none is shown."""
    text = (ROOT / path).read_text()
    found: list[tuple[str, str]] = []
    for language, block in re.findall(r"^```(sh|text)\n(.*?)^```$", text, re.M | re.S):
        if language == "sh":
            found.append((block, ""))
        else:
            script, shown = found.pop()
            assert not shown, f"{path} shows two outputs of:\n{script}"
            found.append((script, block))
    return found


def assert_output(shown: str, real: str) -> None:
    """Check that an output is as shown; `…` is any text, and `…` alone on a line is any lines."""
    lines = (
        "(?:.*\n)*" if line == "…\n" else re.escape(line).replace("…", ".+")
        for line in shown.splitlines(keepends=True)
    )
    # No document ends a line with spaces.
    real = re.sub(r"[ \t]+$", "", real, flags=re.M)
    assert re.fullmatch("".join(lines), real), f"shown:\n{shown}\nreal:\n{real}"
