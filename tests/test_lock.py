"""What is installed is what was tested, file by file."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.server import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-node.lock")


def locked(path: Path) -> dict[str, tuple[str, int]]:
    """Name → version and how many files are known by their hash."""
    found: dict[str, tuple[str, int]] = {}
    for entry in re.split(r"\n(?=\S)", path.read_text()):
        pin = re.match(r"([\w.\[\]-]+)==(\S+)", entry)
        if pin:
            name = canonicalize_name(Requirement(pin[1]).name)
            found[name] = (pin[2], entry.count("--hash=sha256:"))
    return found


def asked(path: Path) -> set[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return {canonicalize_name(Requirement(line).name) for line in lines if line}


@pytest.mark.parametrize("name", LOCKS)
def test_every_file_is_known_by_its_hash_at_the_version_that_was_tested(name: str) -> None:
    pins: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if "==" in line:
            package, _, version = line.partition("==")
            pins[canonicalize_name(package)] = version
    for package, (version, hashes) in locked(ROOT / name).items():
        assert hashes, package
        assert pins.get(package, version) == version, f"{package}: run make lock"


def test_the_locks_hold_everything_that_is_asked_for() -> None:
    needed = asked(ROOT / "requirements.txt")
    assert needed <= set(locked(ROOT / "requirements.lock")), "run make lock"
    needed |= asked(ROOT / "requirements-dev.txt")
    assert needed <= set(locked(ROOT / "requirements-dev.lock")), "run make lock"
