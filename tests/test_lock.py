"""The lock files pin every package to the tested version, with the hash of each file."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.server import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-node.lock")


def locked(path: Path) -> dict[str, tuple[str, int]]:
    """Return the version and the number of hashes of each package."""
    found: dict[str, tuple[str, int]] = {}
    for entry in re.split(r"\n(?=\S)", path.read_text()):
        pin = re.match(r"([\w.\[\]-]+)==(\S+)", entry)
        if pin:
            name = canonicalize_name(Requirement(pin[1]).name)
            found[name] = (pin[2], entry.count("--hash=sha256:"))
    return found


def requirements(path: Path) -> set[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return {canonicalize_name(Requirement(line).name) for line in lines if line}


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_hashes_and_the_tested_version(name: str) -> None:
    pins: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if "==" in line:
            package, _, version = line.partition("==")
            pins[canonicalize_name(package)] = version
    for package, (version, hashes) in locked(ROOT / name).items():
        assert hashes, package
        assert pins.get(package, version) == version, f"{package}: run make lock"


def test_the_lock_files_contain_all_requirements() -> None:
    needed = requirements(ROOT / "requirements.txt")
    assert needed <= set(locked(ROOT / "requirements.lock")), "run make lock"
    needed |= requirements(ROOT / "requirements-dev.txt")
    assert needed <= set(locked(ROOT / "requirements-dev.lock")), "run make lock"
