"""The lock files: they agree with `pyproject.toml` and each other, and name no index or machine."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent.parent
RUN_LOCK = ROOT / "requirements.lock"
TEST_LOCK = ROOT / "requirements-dev.lock"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@dataclass(frozen=True)
class Pin:
    """One entry of a lock."""

    version: str
    marker: str
    """Where it holds; empty for everywhere."""
    hashes: frozenset[str]


def pins(lock: Path) -> dict[str, list[Pin]]:
    """The entries of a lock by name; one name may have several, with markers."""
    found: dict[str, list[Pin]] = {}
    for block in re.split(r"\n(?=\S)", lock.read_text().strip()):
        requirement = Requirement(block.split("\\")[0].strip())
        hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
        version = str(requirement.specifier).removeprefix("==")
        entry = Pin(version, str(requirement.marker or ""), hashes)
        found.setdefault(canonicalize_name(requirement.name), []).append(entry)
    return found


def test_every_direct_dependency_is_locked_at_a_version_that_fits() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = [(RUN_LOCK, PROJECT["dependencies"]), (TEST_LOCK, PROJECT["dependencies"])]
    wanted += [(TEST_LOCK, extras["dev"])]
    for lock, requirements in wanted:
        locked = pins(lock)
        for text in requirements:
            requirement = Requirement(text)
            entries = locked.get(canonicalize_name(requirement.name), [])
            assert entries, f"{lock.name} lacks {text}; scripts/lock adds it"
            for entry in entries:
                assert requirement.specifier.contains(entry.version), f"{lock.name}: {text}"


def test_what_is_tested_is_what_runs() -> None:
    tested = pins(TEST_LOCK)
    assert {name: tested.get(name) for name in pins(RUN_LOCK)} == pins(RUN_LOCK)


@pytest.mark.parametrize("lock", [RUN_LOCK, TEST_LOCK], ids=lambda lock: lock.name)
def test_locks_have_hashes_and_no_addresses(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash=)|^-|\s/\w|@ ", text, re.MULTILINE)
    assert [name for name, entries in pins(lock).items() for e in entries if not e.hashes] == []
