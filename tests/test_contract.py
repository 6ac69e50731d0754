"""The running API conforms to its OpenAPI schema for generated requests."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import fixtures
from tests.server import ROOT, Person, Server

SEED = 1
LIMIT_S = 180


def schemathesis(
    server: Server, person: Person, folder: Path, *options: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    program = Path(sys.executable).with_name("schemathesis")
    if not program.exists():
        program = Path(shutil.which("schemathesis") or pytest.skip("schemathesis is not installed"))
    return subprocess.run(
        [
            str(program),
            *("--config-file", str(ROOT / "tests" / "schemathesis.toml")),
            *("run", f"{server.url}/api/schema/"),
            *("--header", f"Authorization: Token {person.token}"),
            # One worker: with more, Python 3.11 may fail in the parser that Hypothesis uses.
            *("--seed", str(SEED), "--workers", "1", "--continue-on-failure", "--no-color"),
            *options,
        ],
        cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        env=os.environ | environment,
    )  # fmt: skip


@pytest.mark.proof
def test_schemathesis_finds_no_fault(server: Server, tmp_path: Path) -> None:
    """Run all default checks as a new, authenticated user; print the number of tests."""
    before = len(server.log("web"))
    done = schemathesis(server, server.person(), tmp_path, "--max-examples", "4")
    figures = re.findall(r"^ +(?:Tested: \d+|\d+ generated.*)$", done.stdout, re.MULTILINE)
    print("\n".join(line.strip() for line in figures))
    assert done.returncode == 0, done.stdout + done.stderr
    tested = re.search(r"Tested: (\d+)", done.stdout)
    generated = re.search(r"(\d+) generated", done.stdout)
    assert tested and int(tested[1]) >= 26
    assert generated and int(generated[1]) >= 900
    assert "Traceback" not in server.log("web")[before:]


def test_no_request_returns_the_data_of_another_user(server: Server, tmp_path: Path) -> None:
    """Every id in a path belongs to a user with a clip, an inspection, a batch and a token."""
    first, mark = server.person(), "data-of-the-first-user"
    ids = create_objects(server, first, mark)
    before = read_objects(first, ids)
    assert mark in str(before)
    done = schemathesis(
        server, server.person(), tmp_path, "--max-examples", "4", "--phases", "fuzzing",
        "--checks", "no_data_of_other_user,not_a_server_error",
        OTHER_USER=json.dumps({"mark": mark, "ids": ids}),
        SCHEMATHESIS_HOOKS="tests.other_user",
        PYTHONPATH=str(ROOT),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated and int(generated[1]) >= 50
    assert read_objects(first, ids) == before


def create_objects(server: Server, person: Person, mark: str) -> dict[str, str]:
    """Create one object of every kind; return the ids by their part of the path."""
    sound = fixtures.encode(fixtures.noise(1.0, 16_000, seed=77), 16_000, "WAV")
    analysis = person.wait(person.submit(f"{mark}.wav", sound))
    label = analysis["predictions"][0]["class"]

    def made(path: str, **body: Any) -> dict[str, Any]:
        response = requests.post(
            f"{server.url}/api/v1/{path}", json=body, headers=person.headers, timeout=30
        )
        assert response.ok, response.text
        return response.json()

    question = {"kind": "explanation", "window": 0, "label": label}
    return {
        "clips": analysis["clip"],
        "analyses": analysis["id"],
        "inspections": made(f"analyses/{analysis['id']}/inspections/", **question)["id"],
        "batches": made("batches/", name=mark)["id"],
        "tokens": made("tokens/", name=mark)["id"],
    }


def read_objects(person: Person, ids: dict[str, str]) -> dict[str, Any]:
    """Return the objects as the API describes them, except inspections, whose state changes."""
    kinds = [kind for kind in ids if kind not in ("tokens", "inspections")]
    found = {kind: person.get(f"/api/v1/{kind}/{ids[kind]}/").json() for kind in kinds}
    tokens = person.get("/api/v1/tokens/").json()["results"]
    return found | {"tokens": sorted(token["id"] for token in tokens)}
