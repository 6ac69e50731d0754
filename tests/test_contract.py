"""The live API keeps to its own description, whatever it is sent."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT, House, Person

SEED = 1
LIMIT_S = 180


def test_schemathesis_finds_no_fault(house: House, tmp_path: Path) -> None:
    """All default checks, authenticated, as a user of its own; prints its figures."""
    program = Path(sys.executable).with_name("schemathesis")
    if not program.exists():
        program = Path(shutil.which("schemathesis") or pytest.skip("schemathesis is not installed"))
    person: Person = house.person()
    before = len(house.log("web"))
    done = subprocess.run(
        [
            str(program),
            *("--config-file", str(ROOT / "tests" / "schemathesis.toml")),
            *("run", f"{house.url}/api/schema/"),
            *("--header", f"Authorization: Token {person.token}"),
            # One worker: with more, Python 3.11 may fail in the parser that Hypothesis calls.
            *("--max-examples", "4", "--seed", str(SEED), "--workers", "1"),
            *("--continue-on-failure", "--no-color"),
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    figures = re.findall(r"^ +(?:Tested: \d+|\d+ generated.*)$", done.stdout, re.MULTILINE)
    print("\n".join(line.strip() for line in figures))
    assert done.returncode == 0, done.stdout + done.stderr
    tested = re.search(r"Tested: (\d+)", done.stdout)
    generated = re.search(r"(\d+) generated", done.stdout)
    assert tested and int(tested[1]) >= 26
    assert generated and int(generated[1]) >= 900
    assert "Traceback" not in house.log("web")[before:]
